"""Contracts and flow in Dagster's words: the same arguments, metadata and sensors for every domain.

Belongs here: what all domains' assets have in common. Does not belong here: a domain's word, moving
data.
"""
