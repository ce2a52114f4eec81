"""One file per outside system; each owns its client library and opens it on first use.

Belongs here: connecting, reading, writing, deadlines, turning client errors into failures. Does not
belong here: what the data means (flow, defs) or starting the system (local).
"""
