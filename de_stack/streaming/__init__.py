"""The host of continuous queries: one process, one Spark driver, as many queries as are wanted.

Queries are what the domains say in `stream.py`; how one runs is in `flow.continuous`. Here is who
runs them: which are wanted, starting and stopping them, what is told of them.
"""
