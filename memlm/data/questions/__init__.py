"""Questions about stories: bAbI and datasets in its format."""
