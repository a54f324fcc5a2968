"""Whole experiments: from settings to a summary, and comparisons between runs."""
