"""memlm.data."""
