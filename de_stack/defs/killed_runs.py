"""What keeps the house in order when runs are killed: one sensor for all domains.

Belongs here: that sensor. Does not belong here: how it finds them (`orchestration.orphans`).
"""

from de_stack.orchestration.orphans import sweep_sensor

sweep_killed_runs = sweep_sensor()
