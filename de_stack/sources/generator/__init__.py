"""Makes events that look like a stream's, at a steady rate, again the same ones from the same seed.

Belongs here: making and sending. Does not belong here: what a stream's fields are (the contract),
receiving (`collector/`).

    contract (+ YAML) -> config.py (one function per field) -> events.py (records, ids)
    -> run.py (rate, retries) -> sinks.py (collector or console)
"""
