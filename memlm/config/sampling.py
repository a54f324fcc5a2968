"""The settings of text generation."""

from dataclasses import dataclass

from memlm.config.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class Sampling(Settings):
    """How the next word is drawn: temperature is applied first, then top_k, then top_p."""

    words: int = setting(100, "words to generate, line ends included", low=1)
    temperature: float = setting(
        1.0, "below 1: more likely words; above 1: more varied words; 0: always the most likely word", low=0
    )
    top_k: int = setting(0, "draw from this many most likely words; 0: from all", low=0)
    top_p: float = setting(1.0, "draw from the most likely words whose probabilities add up to this", above=0, high=1)
    unknown: bool = setting(False, "allow <unk>")
