"""Read, count and encode large texts, once."""
