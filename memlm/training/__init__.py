"""The training loop and all that it trains with."""
