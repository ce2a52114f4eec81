"""The pure part of telemetry: schemas and rules. No Dagster, no clients, no clock, no environment."""
