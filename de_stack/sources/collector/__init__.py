"""The HTTP door: events come in by POST and are in Kafka when the answer says so.

Belongs here: receiving, checking against the contract, producing, counting. Does not belong here:
making data (`generator/`), the rules of a contract (`contracts/`), starting the server (`local/`).

    POST -> body.py (what was sent) -> check.py (contract) -> door.py (Kafka) -> answer.py
                ids.py                   normalise.py (times, envelopes)

app.py is the HTTP around it, meters.py counts, openapi.py and pages.py describe it.
"""
