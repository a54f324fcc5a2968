"""A dataset gathered in a folder of its own, file by file as they are found and checked, before it is put in place."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from memlm.data.catalog.entries import DataFile, Dataset, is_archive
from memlm.data.fetch.check import CHUNK, check_file
from memlm.data.fetch.unpack import members
from memlm.data.progress_bar import bar
from memlm.data.stories import questions, stories
from memlm.errors import MemlmError

FOLDER_LIMIT = 100_000  # files and folders to be looked through


@dataclass(kw_only=True)
class Stage:
    """What of a dataset is here, and what was wrong with the rest; `scratch` is a folder to be thrown away."""

    dataset: Dataset
    scratch: Path
    good: set[str] = field(default_factory=set)
    bad: dict[str, str] = field(default_factory=dict)  # path -> problem
    odd: str = ""  # a file by whose name one sees what was given instead

    @property
    def folder(self) -> Path:
        """Where the good files lie."""
        return self.scratch / self.dataset.name

    def wanted(self) -> list[DataFile]:
        """The files that are not here yet."""
        return [file for file in self.dataset.files if file.path not in self.good]

    def named(self, name: str) -> DataFile | None:
        """The wanted file that a member or path of this name is, if any; a lookalike is noted."""
        base = name.rpartition("/")[2]
        for pattern, meaning in self.dataset.lookalikes:
            if fnmatch.fnmatch(base, pattern):
                self.odd = f"{base} is {meaning}"
        return next((file for file in self.wanted() if f"/{name}".endswith(f"/{file.path}")), None)

    def offer(self, file: DataFile, chunks: Iterable[bytes], *, plain: bool = False) -> None:
        """Take a file's bytes, and keep them if they are right; `plain` if they came over http without the s."""
        if plain and file.sha256 is None:
            self.bad[file.path] = "is not taken over plain http, since its sha256 is not known"
            return
        place = self.folder / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        save(chunks, place, limit=file.size or file.at_most, size=file.size)
        if problem := check_file(place, file, self.dataset).problem:
            self.bad[file.path] = problem
            place.unlink()
        else:
            self.good.add(file.path)
            self.bad.pop(file.path, None)

    def lacking(self) -> str:
        """Why the dataset is not complete; empty when all that is required is here."""
        lacking = [file.path for file in self.wanted() if file.required]
        if not lacking:
            return ""
        faults = [f"{path} {self.bad[path]}" for path in lacking if path in self.bad]
        return faults[0] if faults else self.odd or f"it lacks {few(lacking)}"


def few(paths: Sequence[str]) -> str:
    """At most three of the paths, and how many more there are."""
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def from_path(stage: Stage, source: str) -> None:
    """Import from a folder, an archive or a file. Raises MemlmError unless that completes the dataset."""
    path = Path(source).expanduser()
    if not source or not path.exists():
        raise MemlmError(
            f"no file or folder at {source!r}: --from takes a folder, a file, an archive or an http(s) URL"
        )
    if path.is_dir():
        _from_folder(stage, path)
    elif path.is_file():
        from_archive(stage, path)
    else:
        raise MemlmError(f"{path} is neither a folder nor a regular file")
    if problem := stage.lacking():
        raise MemlmError(f"cannot import {stage.dataset.name} from {path}: {problem}")


def from_archive(stage: Stage, path: Path, *, plain: bool = False) -> None:
    """What is wanted of an archive, by name; a file alone may have any name if the dataset is one file."""
    with closing(members(path)) as found:
        for member in found:
            file = stage.named(member.name)
            if file is None and member.kind == "alone" and len(stage.dataset.files) == 1:
                file = stage.dataset.files[0]
            if file is not None:
                stage.offer(file, member.chunks, plain=plain)


def _from_folder(stage: Stage, folder: Path) -> None:
    """Find the files by name, the nearest first; failing that, an archive named as the dataset's."""
    inside = list(islice(folder.rglob("*"), FOLDER_LIMIT + 1))
    if len(inside) > FOLDER_LIMIT:
        raise MemlmError(f"{folder} holds more than {FOLDER_LIMIT:,} files: name the folder of the dataset itself")
    paths = sorted((path for path in inside if path.is_file()), key=lambda path: (len(path.parts), path))
    for path in paths:
        if file := stage.named(path.absolute().as_posix()):
            with path.open("rb") as stream:
                stage.offer(file, iter(partial(stream.read, CHUNK), b""))
    names = (stage.dataset.name, *(url.rpartition("/")[2] for url in stage.dataset.mirrors if is_archive(url)))
    for path in paths:
        if stage.lacking() and is_archive(path.name) and path.name.startswith(names):
            from_archive(stage, path)


def generate(stage: Stage) -> None:
    """Write what memlm makes itself."""
    seed = stage.dataset.seed or stories.DEFAULT_SEED
    texts: Mapping[str, Sequence[str]]  # by file name
    if stage.dataset.split_files:
        texts = {f"stories.{split}.txt": made.lines for split, made in stories.generate(seed=seed).items()}
    else:
        texts = questions.generate(seed=seed)
    for file in stage.dataset.files:
        stage.offer(file, ["\n".join([*texts[file.name], ""]).encode()])
    if problem := stage.lacking():
        raise MemlmError(
            f"cannot generate {stage.dataset.name}: {problem}; this is a fault of memlm, please report it"
        )


def save(chunks: Iterable[bytes], path: Path, *, limit: int, size: int | None) -> None:
    """Write the pieces; stop one byte after the limit, which tells a check that there was more."""
    with path.open("wb") as stream, bar(path.name, size) as advance:
        for chunk in chunks:
            stream.write(chunk[: limit + 1 - stream.tell()])
            advance(len(chunk))
            if stream.tell() > limit:
                return
