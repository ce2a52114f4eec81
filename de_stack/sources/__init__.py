"""Data that we make, replay or receive, on its way into Kafka.

Belongs here: the collector (the HTTP door), the generator, and what counts what they did. Does not
belong here: reading data back out of Kafka (`flow/`), starting these programs (`local/`).
"""
