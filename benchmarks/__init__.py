"""Figures, each made by a command: `make bench` or `python -m benchmarks NAME...`.

Belongs here: workloads and their measurement, on a stack of their own. Does not belong here:
tests; nothing in this folder passes or fails.
"""
