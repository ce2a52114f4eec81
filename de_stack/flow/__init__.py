"""How data moves, exactly once, between two systems.

Belongs here: landing, deriving, publishing, the ledger of what was committed. Does not belong here:
any word of a domain, Dagster, the choice when to run.
"""
