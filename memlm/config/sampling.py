"""The settings of text generation."""

from dataclasses import dataclass

from memlm.config.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class Sampling(Settings):
    """How the next word is drawn: the distribution is sharpened, then cut to top_k, then to top_p of the rest."""

    words: int = setting(100, "words to draw, line ends counted", low=1)
    temperature: float = setting(
        1.0, "below 1 sharpens the distribution, above flattens it; 0: always the likeliest", low=0
    )
    top_k: int = setting(0, "draw from this many likeliest words alone; 0: from all", low=0)
    top_p: float = setting(
        1.0, "draw from the likeliest words alone that have this probability together", above=0, high=1
    )
    unknown: bool = setting(False, "draw <unk> too, where the model would")
