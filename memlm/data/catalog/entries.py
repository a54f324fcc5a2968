"""What an entry of the catalogue of datasets says: the files, where they are had, and what they must be."""

from dataclasses import dataclass

SPLITS = ("train", "valid", "test")
ARCHIVE_ENDINGS = (".zip", ".tar.gz", ".tgz", ".tar", ".gz")


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One extracted file. What is None is not known, and is not checked.

    A file without a sha256 is never taken over plain http.
    """

    path: str  # inside the dataset's folder, with forward slashes
    split: str | None = None  # one of SPLITS
    part: str = ""  # an edition inside the dataset, as `en` and `en-10k`
    sha256: str | None = None
    sha1: str | None = None  # where others have published that alone
    size: int | None = None  # bytes
    lines: int | None = None
    tokens: int | None = None
    types: int | None = None
    questions: int | None = None  # lines with a tab: bAbI
    required: bool = True
    begins: bytes = b""  # with these bytes
    at_most: int = 64 << 20  # bytes of a file whose size is not known

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset: where it comes from and what it must be.

    A mirror that ends as an archive does is one; any other is a base URL that a file's path is appended to.
    """

    name: str
    title: str
    about: str
    licence: str
    homepage: str
    files: tuple[DataFile, ...]
    mirrors: tuple[str, ...] = ()  # none: memlm generates it
    seed: int | None = None  # of a generated dataset
    source: str = ""  # of a dataset that is only imported: the command that does it
    shares: str = ""  # of train, valid and test, of a dataset that is one file
    min_count: int = 1  # words of training that are seen less often are <unk>
    split_rule: str = "one file a split"
    lookalikes: tuple[tuple[str, str], ...] = ()  # pattern of a file's name -> what such a file is
    impostors: tuple[tuple[str, str], ...] = ()  # sha256 -> what that file is

    @property
    def generated(self) -> bool:
        """Whether memlm makes it itself."""
        return self.seed is not None

    @property
    def split_files(self) -> dict[str, DataFile]:
        """Train, valid and test where each is one file; otherwise empty."""
        found = {split: [file for file in self.files if file.split == split] for split in SPLITS}
        single = all(len(files) == 1 for files in found.values())
        return {split: files[0] for split, files in found.items()} if single else {}

    @property
    def is_text(self) -> bool:
        """Whether a language model can be trained on it: it has splits."""
        return bool(self.split_files or self.shares)


def is_archive(name: str) -> bool:
    """Whether a file or URL is named as an archive that `memlm data get` reads."""
    return name.lower().endswith(ARCHIVE_ENDINGS)
