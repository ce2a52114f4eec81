"""Schemas and rules of tweets, pure: no Dagster, no clients, no clock, no environment."""
