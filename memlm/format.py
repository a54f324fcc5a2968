"""Numbers as they are shown."""


def shown(perplexity: float, places: int = 2) -> str:
    """With so many decimal places; from a million on with three digits and a power of ten, or `inf`."""
    return f"{perplexity:.{places}f}" if perplexity < 1e6 else f"{perplexity:.3g}"


def duration(seconds: float) -> str:
    """h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
