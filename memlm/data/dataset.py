"""A dataset ready for models: splits as token ids under one vocabulary."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from memlm.config import Config
from memlm.config_data import DataConfig
from memlm.data import fetch, vocabularies
from memlm.data.catalog import CATALOG, SPLITS
from memlm.data.corpus import EncodedText, TextFile
from memlm.data.encoded import load_encoded
from memlm.data.vocab import Vocabulary
from memlm.errors import MemlmError


@dataclass(frozen=True, kw_only=True)
class TextDataset:
    """Splits of a corpus by name; `floor_nats` holds the exact entropy of those whose source knows it."""

    name: str
    vocabulary: Vocabulary
    splits: Mapping[str, EncodedText]
    floor_nats: Mapping[str, float] = field(default_factory=dict)

    @property
    def sha256(self) -> dict[str, str]:
        """Hash of each split's ids."""
        return {split: data_sha256(text) for split, text in self.splits.items()}


def load(
    name: str,
    data: DataConfig | None = None,
    *,
    splits: Sequence[str] = SPLITS,
    vocabulary: Vocabulary | None = None,
) -> TextDataset:
    """The splits of a catalogued dataset, fetched if need be, or of a folder with train.txt, valid.txt and test.txt.

    Without a `vocabulary`, one is made from the training split alone as `data` says. Tokens are read-only, mapped from
    the data folder; making them is the work of the first time.
    """
    files = split_files(name)
    for split in splits:
        if split not in files:
            raise MemlmError(f"{name} has no split {split!r}: it has {', '.join(files)}")
    data = data or DataConfig()
    floors = fetch.floor(name, splits) if name in CATALOG and data.keeps_all else {}
    if vocabulary is None:
        vocabulary = vocabularies.make(files["train"], data)
    return TextDataset(
        name=name,
        vocabulary=vocabulary,
        splits={split: load_encoded(files[split], vocabulary) for split in splits},
        floor_nats={split: floors[split]["floor_nats"] for split in splits if split in floors},
    )


def settled(config: Config) -> Config:
    """The settings as they are recorded in a run: with the dataset's full name, and what it decides."""
    return dataclasses.replace(config.resolved(), dataset=full_name(config.dataset))


def split_files(name: str) -> dict[str, TextFile]:
    """Where the splits of a dataset lie, after it was fetched if need be."""
    folder = Path(name)
    if _is_folder(name):
        files = {split: folder / f"{split}.txt" for split in SPLITS}
        for path in files.values():
            if not path.is_file():
                raise MemlmError(
                    f"{folder} is not a dataset: it holds no {path.name}; needed are train, valid and test.txt"
                )
        return {split: TextFile(path) for split, path in files.items()}
    if name not in CATALOG and len(folder.parts) != 1:
        raise MemlmError(f"no folder {name}: a dataset is a name of `memlm data list` or a folder that is there")
    return {split: TextFile(path) for split, path in fetch.split_files(name).items()}


def full_name(name: str) -> str:
    """The name, of a folder its whole path: a run must find its text from wherever it is used."""
    return str(Path(name).resolve()) if _is_folder(name) else name


def _is_folder(name: str) -> bool:
    return name not in CATALOG and Path(name).is_dir()


def data_sha256(text: EncodedText) -> str:
    """Hash of a split's ids: two scores can be compared only if it is the same."""
    return hashlib.sha256(text.tokens.data).hexdigest()
