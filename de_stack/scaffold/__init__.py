"""A file of somebody's data -> the three folders of a new stream.

Belongs here: looking at a file, drafting a contract, writing definition, dbt models and tests from
templates. Does not belong here: what the written code does (`flow`, `orchestration`), sending the
file's rows (`sources/replay`).

    file -> profile.py (what its columns hold) -> draft.py (a contract) -> write.py (templates/)
"""
