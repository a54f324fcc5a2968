"""Datasets: catalogue, download, splits, vocabularies, batches, questions."""
