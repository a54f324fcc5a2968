"""Question answering: tasks to tensors, restarts trained side by side, errors by task."""
