"""Data contracts: the one place where a stream's schema and promises are written.

Belongs here: reading ODCS files, and everything that is derived from them (schemas, decoders, topic
settings, checks, dbt sources). Does not belong here: moving data, clients, Dagster.
"""

from de_stack.contracts.load import ContractError, load_all, load_file, load_stream
from de_stack.contracts.model import Dataset, Envelope, Field, Stream

__all__ = [
    "ContractError",
    "Dataset",
    "Envelope",
    "Field",
    "Stream",
    "load_all",
    "load_file",
    "load_stream",
]
