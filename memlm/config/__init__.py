"""Settings: everything that defines a run. Nothing here imports torch."""
