"""Checks this installation and measures its speed."""
