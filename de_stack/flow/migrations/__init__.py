"""How the ledger's tables came to be: alembic's environment and one file per step.

Belongs here: changes of the ledger's schema. Does not belong here: questions to it (`ledger.py`),
running the changes (`ledger_schema.py`).
"""
