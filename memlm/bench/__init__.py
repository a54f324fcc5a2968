"""What `memlm bench` measures, and against what."""
