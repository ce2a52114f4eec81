"""Continuous queries: the same rules as the batch path, on rows as they come, to the same systems.

A query reads one topic, in batches that Spark plans and remembers in its checkpoint; a sink takes
each batch as one. What of a batch has been written is written again after a crash, and each sink
says how it sees to it that this changes nothing.
"""
