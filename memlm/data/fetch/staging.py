"""The staging area of a dataset: its files are gathered and checked there, before one rename installs them."""

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
from memlm.data.stories.generate import DEFAULT_SEED, generate_stories
from memlm.data.stories.questions import generate_questions
from memlm.errors import MemlmError

FOLDER_LIMIT = 100_000  # files and folders that are searched


@dataclass(kw_only=True)
class Stage:
    """The good files of a dataset so far, and the problems of the others. `scratch` is a temporary folder."""

    dataset: Dataset
    scratch: Path
    good: set[str] = field(default_factory=set)
    bad: dict[str, str] = field(default_factory=dict)  # path -> problem
    lookalike: str = ""  # what was given instead of the dataset, by the name of a file

    @property
    def folder(self) -> Path:
        """The folder of the good files."""
        return self.scratch / self.dataset.name

    def missing(self) -> list[DataFile]:
        """The files that are still missing."""
        return [file for file in self.dataset.files if file.path not in self.good]

    def find_missing(self, name: str) -> DataFile | None:
        """The missing file with this name in an archive or folder, if any. A lookalike is noted."""
        base = name.rpartition("/")[2]
        for pattern, meaning in self.dataset.lookalikes:
            if fnmatch.fnmatch(base, pattern):
                self.lookalike = f"{base} is {meaning}"
        return next((file for file in self.missing() if f"/{name}".endswith(f"/{file.path}")), None)

    def offer(self, file: DataFile, chunks: Iterable[bytes], *, plain: bool = False) -> None:
        """Save a file's bytes, and keep the file if it is right. `plain` means that they came over http, not https."""
        if plain and file.sha256 is None:
            self.bad[file.path] = "is not accepted over plain http, since its sha256 is not known"
            return
        path = self.folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        save_chunks(chunks, path, limit=file.size or file.at_most, size=file.size)
        if problem := check_file(path, file, self.dataset).problem:
            self.bad[file.path] = problem
            path.unlink()
        else:
            self.good.add(file.path)
            self.bad.pop(file.path, None)

    def problem(self) -> str:
        """Why the dataset is not complete; empty if all required files are here."""
        required = [file.path for file in self.missing() if file.required]
        if not required:
            return ""
        faults = [f"{path} {self.bad[path]}" for path in required if path in self.bad]
        return faults[0] if faults else self.lookalike or f"it lacks {abbreviated(required)}"


def abbreviated(paths: Sequence[str]) -> str:
    """The first three paths, and how many more there are."""
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def import_path(stage: Stage, source: str) -> None:
    """Import a folder, an archive or a file. Raises MemlmError if the dataset is then not complete."""
    path = Path(source).expanduser()
    if not source or not path.exists():
        raise MemlmError(
            f"no file or folder at {source!r}: --from takes a folder, a file, an archive or an http(s) URL"
        )
    if path.is_dir():
        _from_folder(stage, path)
    elif path.is_file():
        import_archive(stage, path)
    else:
        raise MemlmError(f"{path} is neither a folder nor a regular file")
    if problem := stage.problem():
        raise MemlmError(f"cannot import {stage.dataset.name} from {path}: {problem}")


def import_archive(stage: Stage, path: Path, *, plain: bool = False) -> None:
    """Import missing files from an archive, by name. A single file may have any name if the dataset is one file."""
    with closing(members(path)) as found:
        for member in found:
            file = stage.find_missing(member.name)
            if file is None and member.kind == "single" and len(stage.dataset.files) == 1:
                file = stage.dataset.files[0]
            if file is not None:
                stage.offer(file, member.chunks, plain=plain)


def _from_folder(stage: Stage, folder: Path) -> None:
    """Import files by name, those nearest to the top first. Otherwise import an archive with the dataset's name."""
    inside = list(islice(folder.rglob("*"), FOLDER_LIMIT + 1))
    if len(inside) > FOLDER_LIMIT:
        raise MemlmError(f"{folder} has more than {FOLDER_LIMIT:,} files: give the dataset's own folder")
    paths = sorted((path for path in inside if path.is_file()), key=lambda path: (len(path.parts), path))
    for path in paths:
        if file := stage.find_missing(path.absolute().as_posix()):
            with path.open("rb") as stream:
                stage.offer(file, iter(partial(stream.read, CHUNK), b""))
    names = (stage.dataset.name, *(url.rpartition("/")[2] for url in stage.dataset.mirrors if is_archive(url)))
    for path in paths:
        if stage.problem() and is_archive(path.name) and path.name.startswith(names):
            import_archive(stage, path)


def generate_files(stage: Stage) -> None:
    """Generate a dataset that memlm makes itself."""
    seed = stage.dataset.seed or DEFAULT_SEED
    texts: Mapping[str, Sequence[str]]  # by file name
    if stage.dataset.split_files:
        texts = {f"stories.{split}.txt": made.lines for split, made in generate_stories(seed=seed).items()}
    else:
        texts = generate_questions(seed=seed)
    for file in stage.dataset.files:
        stage.offer(file, ["\n".join([*texts[file.name], ""]).encode()])
    if problem := stage.problem():
        raise MemlmError(f"cannot generate {stage.dataset.name}: {problem}; this is a bug in memlm, please report it")


def save_chunks(chunks: Iterable[bytes], path: Path, *, limit: int, size: int | None) -> None:
    """Write chunks to a file, with a progress bar of `size` bytes. It stops one byte after the limit: the check of the
    file then finds that it is too long.
    """
    with path.open("wb") as stream, bar(path.name) as tick:
        for chunk in chunks:
            stream.write(chunk[: limit + 1 - stream.tell()])
            tick(stream.tell(), size)
            if stream.tell() > limit:
                return
