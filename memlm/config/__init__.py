"""Settings: all that defines a run. Imports no torch."""
