"""Starts the outside systems on this machine: one file per process, one supervisor for all.

Belongs here: commands, configuration, ports, probes and the life of local processes. Does not
belong here: clients of the systems (`resources/`), what data there is (`defs/`), how data moves
(`flow/`).
"""
