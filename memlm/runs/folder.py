"""The run folder: settings, environment, metrics, TensorBoard curves, checkpoints and the summary.

- config.toml: resolved settings, written before the first step
- env.json: versions, commit, hardware, command
- vocab.txt: the vocabulary, one token per line in the order of the ids
- tokenizer.model: the SentencePiece model, if tokens are pieces
- metrics.jsonl: one line per epoch
- events.*: TensorBoard (memlm.runs.tensorboard)
- best/, last/: checkpoints (memlm.runs.checkpoint); best.previous/, last.previous/: the checkpoints before them
- evaluations.json: the passports of evaluations (memlm.evaluation.records)
- scores/: the nats of each token and word (memlm.evaluation.records)
- summary.json: the figures of a finished run
- lock: held by the process that trains in the folder
"""

import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from memlm import files, jsontext
from memlm.config.run import RunConfig
from memlm.data.vocabulary.words import WordList
from memlm.errors import MemlmError
from memlm.files import lock
from memlm.runs import manifest
from memlm.runs.environment import environment
from memlm.runs.manifest import Manifest

LOCK = "lock"
# All that memlm writes into a run folder; --overwrite removes nothing else.
OURS = (
    *("env.json*", "config.toml*", "vocab.txt*", "tokenizer.model*", "metrics.jsonl*", "summary.json*"),
    *("evaluations.json*", "best", "best.*", "last", "last.*", "scores", "events.out.tfevents.*", "task-*", LOCK),
)


class RunFolder:
    """A run folder. `create` makes a new one, and `open` opens an existing one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best"
        self.last = path / "last"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for training. Raises MemlmError, naming the process, if another process has the lock.

        The operating system releases the lock when the process ends, even if it is killed.
        """
        path = self.path / LOCK

        def refuse() -> None:
            holder = ""
            with suppress(OSError, ValueError):
                holder = path.read_text(encoding="utf-8").strip()
            raise MemlmError(f"{self.path} is in use by {holder or 'another process'}: wait for it, or stop it")

        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(lock(path, busy=refuse))
            except OSError as error:
                raise MemlmError(f"cannot write {path}: {files.reason(error)}") from None
            with suppress(OSError):  # the disk is full: the lock holds, but does not name its process
                path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
            yield

    @classmethod
    def create(
        cls,
        path: Path,
        config: RunConfig[Any, Any],
        vocabulary: WordList | None = None,
        *,
        overwrite: bool = False,
        **facts: Any,
    ) -> "RunFolder":
        """Make a new folder with the settings in it. With `overwrite`, it may replace a run.

        `facts` are added to env.json: what the settings leave to the machine, such as the device. Raises MemlmError
        if the folder holds a run, without `overwrite`, or other files, or if it can't be written.
        """
        run = cls(path)
        run.check_free(overwrite=overwrite)
        try:
            path.mkdir(parents=True, exist_ok=True)
            for entry in run._entries():
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            run.write_json("env.json", environment() | facts)  # first: it marks the folder as one of memlm
            if vocabulary is None:
                run.write_config(config)
            else:
                run.write_settings(config, vocabulary)
        except OSError as error:
            raise MemlmError(f"cannot make the run folder {path}: {files.reason(error)}") from None
        return run

    def check_free(self, *, overwrite: bool) -> None:
        """Raise MemlmError if the folder holds a run, without `overwrite`, or files that are not of a run.

        Nothing is changed on disk.
        """
        entries = self._entries()
        alien = [entry for entry in entries if not any(entry.match(pattern) for pattern in OURS)]
        marked = any(
            (self.path / mark).is_file() for mark in ("env.json", "env.json.new")
        )  # the first file of a run, complete or not
        if alien or (entries and not marked):
            what = (alien or entries)[0].name
            raise MemlmError(f"{self.path} holds {what!r}, which is not part of a run: choose another --run-dir")
        begun = (self.path / "config.toml").exists()  # otherwise the process was killed before it was a run
        if begun and not overwrite:
            raise MemlmError(f"{self.path} holds a run: choose another --run-dir, --resume it, or give --overwrite")

    def _entries(self) -> list[Path]:
        """The entries of the folder without the lock, or the file that is in its place."""
        entries = list(self.path.iterdir()) if self.path.is_dir() else [self.path] if self.path.exists() else []
        return [entry for entry in entries if entry.name != LOCK]

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """The folder of an existing run. Raises MemlmError if there is none."""
        if not (path / "config.toml").is_file():
            what = "is not a run: it has no config.toml" if path.exists() else "does not exist"
            raise MemlmError(f"{path} {what}; give a folder that `memlm train` has made")
        return cls(path)

    def manifest(self) -> Manifest:
        """The run's manifest, read now. Raises MemlmError if a file is damaged."""
        return manifest.read(self.path)

    def write_config(self, config: RunConfig[Any, Any]) -> None:
        """Write the resolved settings."""
        self._write("config.toml", config.resolved().to_toml())

    def write_settings(self, config: RunConfig[Any, Any], vocabulary: WordList) -> None:
        """Write the settings and the vocabulary. Record in env.json what the weights depend on."""
        made_with = manifest.weight_settings(config) | {"vocabulary_sha256": vocabulary.sha256}
        self.write_json("env.json", self.environment() | made_with)
        vocabulary.save(self.path)
        self.write_config(config)  # last: with this file the folder is a run

    def environment(self) -> dict[str, Any]:
        """Versions, hardware and other facts that were recorded when the run was made."""
        return self.read_json("env.json")

    def note_resume(self, **facts: Any) -> None:
        """Record in env.json that the run is resumed here and now. Delete the figures of its earlier end."""
        noted = self.environment()
        resumed = [*noted.get("resumed", []), environment() | facts]
        self.write_json("env.json", noted | {"resumed": resumed})
        figures = [self.path / name for name in ("summary.json", "evaluations.json")]
        for path in (*figures, *self.path.glob("scores/*.safetensors")):
            path.unlink(missing_ok=True)

    def write_metrics(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write metrics.jsonl, one line per epoch. It is rewritten whole, so that a resumed run has no epoch twice."""
        self._write("metrics.jsonl", "".join(jsontext.dumps(epoch) + "\n" for epoch in history))

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl. There are none before the first epoch has ended."""
        history = self.path / "metrics.jsonl"
        if not history.exists():
            return []
        try:
            return [dict(json.loads(line)) for line in history.read_bytes().splitlines()]
        except (OSError, ValueError, TypeError, RecursionError):
            raise MemlmError(f"{history} is damaged: a line is not a JSON object") from None

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file in the folder."""
        self._write(name, jsontext.dumps(value, indent=1) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """The object that `write_json` wrote, or {} if there is no such file."""
        return manifest.read_object(self.path / name)

    def _write(self, name: str, text: str) -> None:
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file in the folder or in a subfolder, whole or not at all."""
        files.write_whole(self.path / name, content)


def free_folder(name: str) -> Path:
    """Make the folder runs/name, or runs/name-2, runs/name-3, ... if it exists, and return its path."""
    path, number = Path("runs") / name, 1
    while True:
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            number += 1
            path = Path("runs") / f"{name}-{number}"
        except OSError as error:
            raise MemlmError(f"cannot make the run folder {path}: {error.strerror}") from None
