"""de_stack: raw events to numbers that people look at, exactly once, on real services."""

__version__ = "0.1.0.dev0"
