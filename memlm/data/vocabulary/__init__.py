"""Vocabularies: words, characters, pieces."""
