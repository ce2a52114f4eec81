"""Makes the topics of all contracts and the ledger's tables, in systems that are there already.

Belongs here: what `de-stack up` does for the embedded services once they run. Does not belong here:
starting them.
"""

from de_stack.flow.ledger import ensure_schema
from de_stack.resources.kafka import ensure_topics
from de_stack.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    ensure_schema(settings)
    ensure_topics(settings)
