"""Plots of attention and of learning curves, drawn with matplotlib."""
