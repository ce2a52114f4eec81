"""Schemas and rules, pure: no Dagster, no clients, no clock, no environment."""
