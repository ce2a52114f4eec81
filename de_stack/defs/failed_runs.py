"""What tells people that runs failed: for all domains.

Belongs here: the two sensors. Does not belong here: what an alert says (`orchestration.alerts`).
"""

from de_stack.orchestration.alerts import send_sensor, write_sensor

write_alerts = write_sensor()
send_alerts = send_sensor()
