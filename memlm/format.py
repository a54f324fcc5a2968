"""Format numbers for people."""


def shown(perplexity: float, places: int = 2) -> str:
    """A perplexity with `places` decimals; from a million on with three digits and a power of ten, or `inf`."""
    return f"{perplexity:.{places}f}" if perplexity < 1e6 else f"{perplexity:.3g}"


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss, or as m:ss below one hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
