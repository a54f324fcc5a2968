"""Perplexities as they are shown."""


def shown(perplexity: float, places: int = 2) -> str:
    """With so many decimal places; from a million on with three digits and a power of ten, or `inf`."""
    return f"{perplexity:.{places}f}" if perplexity < 1e6 else f"{perplexity:.3g}"
