"""A dataset for language models: its splits as token ids under one vocabulary."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memlm.config.data import DataConfig
from memlm.config.run import Config
from memlm.data.catalog.datasets import CATALOG, lookup
from memlm.data.catalog.entries import SPLITS
from memlm.data.corpus.encoded import load_encoded
from memlm.data.corpus.reading import EncodedText, TextFile
from memlm.data.corpus.splitting import is_one_line, split_file
from memlm.data.vocabulary.words import Vocabulary
from memlm.errors import MemlmError

TEXT = "text"  # the only split of a single text
DEFAULT_SHARES = "90,5,5"  # train, valid and test of a dataset that is one file


@dataclass(frozen=True, kw_only=True)
class TextDataset:
    """The splits of a corpus by name. `floor_nats` holds their exact entropy if it is known."""

    name: str
    vocabulary: Vocabulary
    splits: Mapping[str, EncodedText]
    floor_nats: Mapping[str, float] = field(default_factory=dict)

    @property
    def sha256(self) -> dict[str, str]:
        """The hash of each split's ids."""
        return {split: data_sha256(text) for split, text in self.splits.items()}


def load_dataset(
    name: str,
    data: DataConfig | None = None,
    *,
    splits: Sequence[str] = SPLITS,
    vocabulary: Vocabulary | None = None,
) -> TextDataset:
    """Load a dataset: a name of the catalogue, a folder with train.txt, valid.txt and test.txt, or a file to split.

    A dataset of the catalogue is downloaded if need be. Without a `vocabulary`, one is made from the training split
    alone, with the settings `data`. Tokens are read-only and mapped from the cache, which the first call fills.
    Raises MemlmError.
    """
    data = resolved_data(name, data or DataConfig())
    files = split_files(name, data.split)
    for split in splits:
        if split not in files:
            raise MemlmError(f"{name} has no split {split!r}: it has {', '.join(files)}")
    floors = _floors(name, splits) if data.keeps_all else {}
    if vocabulary is None:
        from memlm.data.make_vocabulary import make_vocabulary

        vocabulary = make_vocabulary(files["train"], data)
    return TextDataset(
        name=name,
        vocabulary=vocabulary,
        splits={split: load_encoded(files[split], vocabulary) for split in splits},
        floor_nats={split: floors[split]["floor_nats"] for split in splits if split in floors},
    )


def one_text(path: Path, vocabulary: Vocabulary) -> TextDataset:
    """A file as a dataset with the single split TEXT, under a given vocabulary."""
    encoded = load_encoded(TextFile(path), vocabulary)
    return TextDataset(name=str(path.resolve()), vocabulary=vocabulary, splits={TEXT: encoded})


def resolved_config(config: Config) -> Config:
    """The settings as a run records them: with the dataset's full name and the settings that follow from it."""
    name, config = config.dataset, config.resolved()
    return dataclasses.replace(config, dataset=full_name(name), data=resolved_data(name, config.data))


def resolved_data(name: str, data: DataConfig) -> DataConfig:
    """The data settings with the defaults of the dataset. Raises MemlmError for a split that it can't have."""
    data = data.resolved()
    if data.split is not None and (name in CATALOG or Path(name).is_dir()):
        raise MemlmError(
            f"split is {data.split}, but only a dataset that is one file can be split: {name} has splits of its own"
        )
    changes: dict[str, object] = {}
    if data.min_count is None and data.tokenizer == "words":
        own = CATALOG[name].min_count if name in CATALOG and data.level == "word" else 1
        changes["min_count"] = own
    if data.split is None and _is_path(name, Path.is_file):
        changes["split"] = DEFAULT_SHARES
    return data.replace(changes)


def split_files(name: str, shares: str | None = None) -> dict[str, TextFile]:
    """The files of a dataset's splits. It is downloaded if need be. `shares` say how to split a single file."""
    path = Path(name)
    if _is_path(name, Path.exists) and not path.is_dir():
        return split_file(path, shares or DEFAULT_SHARES)
    if name not in CATALOG and not path.is_dir():
        if len(path.parts) == 1:
            lookup(name)  # the error lists the known names
        raise MemlmError(f"no file or folder {name}: a dataset is a name from `memlm data list`, a folder or a file")
    if name not in CATALOG:
        return _of_folder(path)
    from memlm.data.fetch import get  # imported where it is used: a model is loaded without the downloader

    return get.split_files(name)


def split_rule(name: str, data: DataConfig) -> str:
    """How the splits are made, in words."""
    if name in CATALOG:
        return CATALOG[name].split_rule
    if not _is_path(name, Path.is_file):
        return "train, valid and test.txt"
    how = "at the ends of words, since it is one line" if is_one_line(Path(name)) else "at the ends of lines"
    return f"one file, split {data.split or DEFAULT_SHARES} {how}"


def _floors(name: str, splits: Sequence[str]) -> dict[str, Any]:
    """Facts about the entropy of the splits that have one; {} for a dataset of one's own."""
    if name not in CATALOG:
        return {}
    from memlm.data.fetch import get

    return get.entropy_floors(name, splits)


def _of_folder(folder: Path) -> dict[str, TextFile]:
    files = {split: folder / f"{split}.txt" for split in SPLITS}
    for file in files.values():
        if not file.is_file():
            raise MemlmError(
                f"{folder} is not a dataset: it has no {file.name}; it must have train.txt, valid.txt and test.txt"
            )
    return {split: TextFile(file) for split, file in files.items()}


def full_name(name: str) -> str:
    """The name, or the absolute path of a folder or file: a run must find its text from any working directory."""
    return str(Path(name).resolve()) if _is_path(name, Path.exists) else name


def is_there(name: str) -> bool:
    """Whether a dataset can be read without a download."""
    if name not in CATALOG:
        return Path(name).exists()
    from memlm.data.fetch import get

    return get.is_present(name)


def _is_path(name: str, check: Callable[[Path], bool]) -> bool:
    """Whether the name is not in the catalogue, and its path passes the check."""
    return name not in CATALOG and check(Path(name))


def data_sha256(text: EncodedText) -> str:
    """The hash of a split's ids. Two scores can be compared only if their hashes are equal."""
    return hashlib.sha256(text.tokens.data).hexdigest()
