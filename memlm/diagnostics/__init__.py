"""Check this installation and measure its speed."""
