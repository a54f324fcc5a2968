"""Questions about stories: bAbI and datasets of its form."""
