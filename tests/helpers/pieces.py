"""Settings and a text for pieces of words."""

from memlm.config.data import DataConfig

WORDS = [
    *("the", "cat", "sat", "on", "mats", "<unk>", "cats", "catch", "nothing", "<s>here</s>", "a<0x41>b"),
    *("x<unk>y", "<eos>s", "naïve", "5000", "50", "\u2581odd"),
]
TEXT = "".join(" ".join(WORDS[i % 7 : 3 + i % 11]) + "\n" for i in range(60))
KINDS = ("unigram", "bpe")
SIZE = 283


def settings(kind: str = "unigram", size: int = SIZE, *, lowercase: bool = False) -> DataConfig:
    """Settings of a text whose tokens are pieces of words."""
    return DataConfig(tokenizer="sentencepiece", pieces=kind, vocab_size=size, lowercase=lowercase)
