"""Fetch datasets, check them against their hashes, and install them."""
