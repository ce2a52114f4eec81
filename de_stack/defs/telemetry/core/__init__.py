"""Schemas and rules of telemetry, pure: no Dagster, no clients, no clock, no environment."""
