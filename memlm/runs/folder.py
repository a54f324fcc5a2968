"""The run folder: settings, environment, metrics, TensorBoard curves, checkpoints and the summary.

- config.toml: resolved settings, written before the first step
- env.json: versions, commit, hardware, command
- vocab.txt: the vocabulary, a token a line in the order of the ids; tokenizer.model: what cuts words into pieces
- metrics.jsonl: a line an epoch
- events.*: TensorBoard (memlm.runs.tensorboard)
- best/, last/: checkpoints, and in best.previous/, last.previous/ the ones before them (memlm.runs.checkpoint)
- evaluations.json, scores/, summary.json: the figures, and the nats of each token and word (memlm.evaluation.records)
- lock: there while a process trains in the folder
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
    """A run's folder; `create` makes a new one, `open` an existing one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best"
        self.last = path / "last"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Train in this folder alone: where another process does, it is named and this one refused.

        The system lets go of it when the process ends, however it ends.
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
            with suppress(OSError):  # a full disk: held all the same, without a name
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
        """A new folder that holds the settings; one with a run in it is refused unless `overwrite`.

        `facts` go to env.json: what the settings leave to the machine, such as the device.
        """
        run = cls(path)
        run.check_room(overwrite=overwrite)
        try:
            path.mkdir(parents=True, exist_ok=True)
            for entry in run._entries():
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            run.write_json("env.json", environment() | facts)  # first: it marks the folder as ours
            if vocabulary is None:
                run.write_config(config)
            else:
                run.note_made_with(config, vocabulary)
        except OSError as error:
            raise MemlmError(f"cannot make the run folder {path}: {files.reason(error)}") from None
        return run

    def check_room(self, *, overwrite: bool) -> None:
        """Refuse a folder that holds anything but runs, or a run unless `overwrite`; nothing is changed."""
        entries = self._entries()
        alien = [entry for entry in entries if not any(entry.match(pattern) for pattern in OURS)]
        marked = any(
            (self.path / mark).is_file() for mark in ("env.json", "env.json.new")
        )  # the first file, or half of it
        if alien or (entries and not marked):
            what = (alien or entries)[0].name
            raise MemlmError(f"{self.path} holds {what!r}, which is not of a run: choose another --run-dir")
        begun = (self.path / "config.toml").exists()  # else it was cut off before it was a run
        if begun and not overwrite:
            raise MemlmError(f"{self.path} holds a run: choose another --run-dir, --resume it, or give --overwrite")

    def _entries(self) -> list[Path]:
        """What is in the folder, or in its way; but not the lock."""
        entries = list(self.path.iterdir()) if self.path.is_dir() else [self.path] if self.path.exists() else []
        return [entry for entry in entries if entry.name != LOCK]

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """The folder of a run that was made before."""
        if not (path / "config.toml").is_file():
            what = "is not a run: it holds no config.toml" if path.exists() else "does not exist"
            raise MemlmError(f"{path} {what}; name a folder that `memlm train` has made")
        return cls(path)

    def manifest(self) -> Manifest:
        """What the run says of itself, read now. Raises MemlmError where that is damaged."""
        return manifest.read(self.path)

    def write_config(self, config: RunConfig[Any, Any]) -> None:
        """The settings, resolved."""
        self._write("config.toml", config.resolved().to_toml())

    def note_made_with(self, config: RunConfig[Any, Any], vocabulary: WordList) -> None:
        """Keep the settings and the vocabulary, and note in env.json what the model is made with."""
        made_with = manifest.made_with(config) | {"vocabulary_sha256": vocabulary.sha256}
        self.write_json("env.json", self.environment() | made_with)
        vocabulary.save(self.path)
        self.write_config(config)  # last: now it is a run

    def environment(self) -> dict[str, Any]:
        """Versions, hardware and facts that were noted when the run was made."""
        return self.read_json("env.json")

    def note_resume(self, **facts: Any) -> None:
        """Add to env.json that the run goes on here and now, and forget the figures of its earlier end."""
        noted = self.environment()
        resumed = [*noted.get("resumed", []), environment() | facts]
        self.write_json("env.json", noted | {"resumed": resumed})
        figures = [self.path / name for name in ("summary.json", "evaluations.json")]
        for path in (*figures, *self.path.glob("scores/*.safetensors")):
            path.unlink(missing_ok=True)

    def write_metrics(self, history: Sequence[Mapping[str, Any]]) -> None:
        """One line for each epoch. Rewritten whole, so that a resumed run has no epoch twice."""
        self._write("metrics.jsonl", "".join(jsontext.dumps(epoch) + "\n" for epoch in history))

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; none before the first epoch has ended."""
        history = self.path / "metrics.jsonl"
        if not history.exists():
            return []
        try:
            return [dict(json.loads(line)) for line in history.read_bytes().splitlines()]
        except (OSError, ValueError, TypeError, RecursionError):
            raise MemlmError(f"{history} is damaged: a line is not a JSON object") from None

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """A JSON file in the folder."""
        self._write(name, jsontext.dumps(value, indent=1) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Inverse of `write_json`; {} if there is no such file yet."""
        return manifest.read_object(self.path / name)

    def _write(self, name: str, text: str) -> None:
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        """A file in the folder or in one within it, whole or not at all."""
        files.write_whole(self.path / name, content)


def free_folder(name: str) -> Path:
    """runs/name, or runs/name-2, -3, ... if that is taken; made, so that no other process takes it."""
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
