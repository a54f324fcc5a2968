"""An entry of the catalogue of datasets: its files, where to get them, and their hashes and counts."""

from dataclasses import dataclass

SPLITS = ("train", "valid", "test")
ARCHIVE_ENDINGS = (".zip", ".tar.gz", ".tgz", ".tar", ".gz")


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One extracted file. A fact that is None is unknown and not checked.

    A file without a sha256 is never accepted over plain http.
    """

    path: str  # inside the dataset's folder, with forward slashes
    split: str | None = None  # one of SPLITS
    part: str = ""  # an edition inside the dataset, such as `en` and `en-10k`
    sha256: str | None = None
    sha1: str | None = None  # if only this was published
    size: int | None = None  # bytes
    lines: int | None = None
    tokens: int | None = None
    types: int | None = None
    questions: int | None = None  # bAbI: lines with a tab
    required: bool = True
    begins: bytes = b""  # the first bytes
    at_most: int = 64 << 20  # bytes, if the size is unknown

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset: its source, and what its files must be.

    A mirror with the ending of an archive is an archive. Any other mirror is a base URL for the paths of the files.
    """

    name: str
    title: str
    about: str
    licence: str
    homepage: str
    files: tuple[DataFile, ...]
    mirrors: tuple[str, ...] = ()  # empty if memlm generates it
    seed: int | None = None  # if memlm generates it
    source: str = ""  # if it can only be imported: the command to do so
    shares: str = ""  # of train, valid and test, if the dataset is one file
    min_count: int = 1  # words with a lower count in training are <unk>
    split_rule: str = "one file per split"
    lookalikes: tuple[tuple[str, str], ...] = ()  # pattern of a file name -> what such a file is
    impostors: tuple[tuple[str, str], ...] = ()  # sha256 -> what such a file is

    @property
    def generated(self) -> bool:
        """Whether memlm generates it."""
        return self.seed is not None

    @property
    def split_files(self) -> dict[str, DataFile]:
        """Train, valid and test if each is one file; otherwise empty."""
        found = {split: [file for file in self.files if file.split == split] for split in SPLITS}
        single = all(len(files) == 1 for files in found.values())
        return {split: files[0] for split, files in found.items()} if single else {}

    @property
    def is_text(self) -> bool:
        """Whether a language model can be trained on it, that is, whether it has splits."""
        return bool(self.split_files or self.shares)


def is_archive(name: str) -> bool:
    """Whether a file or URL has the ending of an archive that `memlm data get` reads."""
    return name.lower().endswith(ARCHIVE_ENDINGS)
