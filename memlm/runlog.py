"""The run folder: settings, environment, metrics, TensorBoard curves and the summary.

- config.toml: resolved settings, written before the first step
- env.json: versions, commit, hardware, command
- vocab.txt: the vocabulary, a word a line in the order of the ids
- metrics.jsonl: a line an epoch
- events.*: TensorBoard
- best/, last/: checkpoints (memlm.checkpoint)
- summary.json: the final figures
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from memlm.config import Config, read_toml
from memlm.data.vocab import Vocabulary
from memlm.errors import MemlmError


class RunFolder:
    """A run's folder; `create` makes a new one, `open` an existing one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best"
        self.last = path / "last"

    @classmethod
    def create(
        cls,
        path: Path,
        config: Config,
        vocabulary: Vocabulary,
        *,
        overwrite: bool = False,
        chosen: Mapping[str, str] | None = None,
    ) -> "RunFolder":
        """A new folder that holds the settings; one with a run in it is refused unless `overwrite`.

        `chosen` is what the settings leave to the machine, such as the device; env.json tells it.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            if not (path / "config.toml").is_file():
                raise MemlmError(f"{path} is there and is not a run: choose another --run-dir")
            if not overwrite:
                raise MemlmError(f"{path} holds a run: choose another --run-dir, --resume it, or give --overwrite")
            shutil.rmtree(path)
        run = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            vocabulary.save(path / "vocab.txt")
            run.write_json("env.json", environment() | dict(chosen or {}))
            run.write_config(config)
        except OSError as error:
            raise MemlmError(f"cannot make the run folder {path}: {error.strerror}") from None
        return run

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """The folder of a run that was made before."""
        if not (path / "config.toml").is_file():
            what = "is not a run: it holds no config.toml" if path.exists() else "does not exist"
            raise MemlmError(f"{path} {what}; name a folder that `memlm train` has made")
        return cls(path)

    def config(self) -> Config:
        """The settings the run was made with."""
        path = self.path / "config.toml"
        return Config.from_dict(read_toml(path), where=str(path))

    def write_config(self, config: Config) -> None:
        """The settings, resolved."""
        self._write("config.toml", config.resolved().to_toml())

    def vocabulary(self) -> Vocabulary:
        """The vocabulary the run was made with."""
        return Vocabulary.load(self.path / "vocab.txt")

    def write_metrics(self, history: Sequence[Mapping[str, Any]]) -> None:
        """One line for each finished epoch. Rewritten whole, so that a resumed run has no epoch twice."""
        lines = "".join(json.dumps(dict(epoch)) + "\n" for epoch in history)
        self._write("metrics.jsonl", lines)

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """A JSON file in the folder."""
        self._write(name, json.dumps(dict(value), indent=1) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Inverse of `write_json`; {} if there is no such file yet."""
        path = self.path / name
        try:
            value = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            raise MemlmError(f"{path} is damaged: it is not JSON") from None
        return value if isinstance(value, dict) else {}

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        try:
            return [json.loads(line) for line in path.read_bytes().splitlines()]
        except ValueError:
            raise MemlmError(f"{path} is damaged: a line is not JSON") from None

    def _write(self, name: str, text: str) -> None:
        path = self.path / name
        new = path.with_name(name + ".new")
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(path)
        except OSError as error:
            raise MemlmError(f"cannot write {path}: {error.strerror}") from None


class Curves:
    """TensorBoard curves of a run: by step while it trains, by epoch, and the hyperparameters with the result."""

    def __init__(self, path: Path, *, from_step: int = 0) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        # What an interrupted run wrote past the step it resumes from is hidden, not doubled.
        self._writer = SummaryWriter(str(path), purge_step=from_step or None)

    def add(self, group: str, values: Mapping[str, float], step: int) -> None:
        """A point on each of the curves `group`/name."""
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def add_result(self, config: Config, figures: Mapping[str, float]) -> None:
        """The hyperparameters beside the final figures, in the folder's own event file (the HParams tab)."""
        from torch.utils.tensorboard.summary import hparams

        parts = config.resolved().to_dict()
        flat = {"dataset": parts["dataset"]} | parts["model"] | parts["train"]
        metrics = {f"final/{name}": value for name, value in figures.items()}
        for summary in hparams(flat, metrics):  # type: ignore[no-untyped-call]
            self._writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]
        self.add("final", figures, 0)

    def flush(self) -> None:
        """Write what is pending."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is pending and close the file."""
        self._writer.close()


def environment() -> dict[str, Any]:
    """What a figure of this run rests on: versions, commit, hardware, command."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["memlm", *sys.argv[1:]],
        "memlm": version("memlm"),
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def commit() -> str | None:
    """The commit of the checkout that memlm runs from, `+` after it if it was changed; None outside of one."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        tracked = subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, check=False)
        if tracked.returncode:
            return None
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
