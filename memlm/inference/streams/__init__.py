"""Predict a text token by token: with a model, a cache, dynamic evaluation or a mixture."""
