"""What data there is: one folder per domain, loaded by itself.

Belongs here: domains. Does not belong here: mechanisms (`flow`, `orchestration`), clients
(`resources`).
"""
