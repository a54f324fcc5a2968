"""A large text, read once."""
