"""Evaluation: perplexity, errors, attention, and what a figure rests on."""
