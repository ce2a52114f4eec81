"""What keeps Dagster's own storage small: one sensor for all domains.

Belongs here: that sensor. Does not belong here: which runs may go (`orchestration.retention`).
"""

from de_stack.orchestration.retention import retention_sensor

delete_old_runs = retention_sensor()
