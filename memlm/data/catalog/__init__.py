"""The datasets that memlm knows by name."""
