"""Runs of `memlm train` that are cut off and resumed, compared with the run that was not: bit for bit, times aside.

    python -m tests.helpers.crash_driver FOLDER MODEL SEED FAULT=COUNT ...

imports memlm once and forks for each run, so that a trial costs what its training costs. FAULT is one of
kill: kill -9 at a random instant, of the resumed run too every other time;
kill-at: kill -9 just before the n-th operation of the disk (write, sync, rename, new folder);
full: from the n-th of these on, the disk is full; limit: no file may grow beyond a random size.
Prints a JSON object for each: trials, how many faults came before the end of a run, which trials differ, and in what.
"""

import errno
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib.backends.backend_agg  # noqa: F401, so that forks need not import it
import pytest
import torch

from memlm.cli import main
from memlm.experiments import run as _run  # noqa: F401
from memlm.runs import checkpoint
from tests.helpers.faults import count_disk_calls, fail_disk_call
from tests.helpers.tensorboard import curves

TIMES = ("seconds", "tokens_per_second", "run", "date")
LSTM = (
    *("--model", "lstm", "--layers", "2", "--units", "6", "--dropout", "0.2", "--init-range", "0.4", "--lr", "0.1"),
)
OPTIONS = {
    "memn2n": ("--hops", "2", "--memory-size", "8", "--units", "6", "--lr", "0.05"),
    "restarts": (
        *("--hops", "2", "--memory-size", "8", "--units", "6", "--lr", "0.05", "--restarts", "3", "--min-lr", "0.02"),
        *("--anneal-factor", "3"),
    ),
    "lstm": LSTM,
    "lstm-epoch": (*LSTM, "--epochs", "1"),
}
COMMON = (
    *("--batch-size", "32", "--chunk-length", "8", "--epochs", "3", "--device", "cpu", "--precision", "float32"),
    *("--checkpoint-every", "7", "--log-every", "5"),
)
SIZES = range(1500, 12_000)  # bytes: of a line of what is said, and of the largest file


def spawn(arguments: list[str], output: Path, prepare: Callable[[Callable[[], None]], None]) -> int:
    """A process that runs the command line, as `prepare` wants it; its id."""
    if pid := os.fork():
        return pid
    status = 99
    try:
        os.setsid()
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        prepare(lambda: main(arguments))
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def as_it_is(work: Callable[[], None]) -> None:
    work()


def killed_at(n: int) -> Callable[[Callable[[], None]], None]:
    def prepare(work: Callable[[], None]) -> None:
        with pytest.MonkeyPatch.context() as patch, fail_disk_call(patch, n, errno.EIO, kill=True):
            work()

    return prepare


def full_at(n: int) -> Callable[[Callable[[], None]], None]:
    def prepare(work: Callable[[], None]) -> None:
        with pytest.MonkeyPatch.context() as patch, fail_disk_call(patch, n, errno.ENOSPC):
            work()

    return prepare


def limited_to(size: int) -> Callable[[Callable[[], None]], None]:
    def prepare(work: Callable[[], None]) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        work()

    return prepare


def what_is_there(run: Path) -> dict[str, Any]:
    """All that must not depend on where a run was cut off."""
    found: dict[str, Any] = {}
    for path in (*run.glob("last/*.safetensors"), *run.glob("best/*.safetensors")):
        found[f"{path.parent.name}/{path.name}"] = path.read_bytes()
    for name in ("last", "best"):
        meta = checkpoint.read_this(run / name).meta
        found[f"{name}/checkpoint.json"] = timeless({k: v for k, v in meta.items() if k not in ("sha256", "files")})
    found["metrics.jsonl"] = [timeless(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for name in ("summary.json", "evaluations.json"):
        found[name] = timeless(json.loads((run / name).read_text()))
    events = curves(run)
    tags = [tag for tag in events.Tags()["scalars"] if not tag.endswith(TIMES)]
    found["curves"] = {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in tags}
    # A run that is killed when all is written leaves its lock, which holds nobody back.
    found["files"] = sorted(path.name for path in run.iterdir() if not path.name.startswith(("events.", "lock")))
    found["files"] = [name for name in found["files"] if not name.endswith(".previous")]
    return found


def timeless(value: Any) -> Any:
    """Without what a clock has put in."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


class Trials:
    """The unbroken run, and the ones that are held against it."""

    def __init__(self, folder: Path, model: str, seed: int) -> None:
        self.folder, self.rng = folder, random.Random(seed)
        corpus = folder / "corpus"
        corpus.mkdir()
        for split, lines in (("train", 120), ("valid", 60), ("test", 60)):
            (corpus / f"{split}.txt").write_text("".join(f"a{i % 3} b{i % 5} c{i % 3} d\n" for i in range(lines)))
        self.start = ["train", "--dataset", str(corpus), *COMMON, *OPTIONS[model], "--run-dir"]
        began = time.monotonic()
        self.go(self.start, folder / "straight", self.counted)
        self.seconds = time.monotonic() - began
        self.expected = what_is_there(folder / "straight")
        self.calls = int((folder / "calls").read_text())
        self.faults = 0

    def go(self, arguments: list[str], run: Path, prepare: Callable[[Callable[[], None]], None]) -> int:
        status = wait(spawn([*arguments, str(run)], run.with_suffix(".log"), prepare))
        if prepare is as_it_is and status:
            raise AssertionError(f"exit status {status}: {run.with_suffix('.log').read_text()}")
        return status

    def counted(self, work: Callable[[], None]) -> None:
        """Note how many operations of the disk the unbroken run takes."""

        def ended() -> None:
            with suppress(SystemExit):
                work()

        with pytest.MonkeyPatch.context() as patch:
            (self.folder / "calls").write_text(str(count_disk_calls(patch, ended)))

    def command(self, run: Path) -> list[str]:
        """To go on with the run; from its beginning where it was cut off before it was one."""
        return ["train", "--resume"] if (run / "config.toml").exists() else self.start

    def killed_at_random(self, run: Path) -> str:
        """kill -9 at a random instant, every other time in the resumed run as well."""
        for _ in range(self.rng.choice((1, 2))):
            pid = spawn([*self.command(run), str(run)], run.with_suffix(".log"), as_it_is)
            time.sleep(self.rng.uniform(0, self.seconds))
            os.kill(pid, signal.SIGKILL)
            self.faults += wait(pid) == -signal.SIGKILL
        return ""

    def cut_off(self, run: Path, prepare: Callable[[Callable[[], None]], None]) -> str:
        """A run that ends by the fault that `prepare` arranges; what is wrong with how it ended."""
        status = self.go(self.start, run, prepare)
        said = run.with_suffix(".log").read_text()
        self.faults += status != 0
        if status in (0, -signal.SIGKILL):
            return ""
        half = [str(path) for path in run.rglob("*.new")] if run.exists() else []
        errors = [line for line in said.splitlines() if line.startswith("Error: ")]
        wrong = status != 2 or half or len(errors) != 1 or "Traceback" in said
        return f"exit status {status}, {half}, {said}" if wrong else ""

    def difference(self, run: Path, fault: str) -> str:
        """Go on with the run to its end; in what it differs from the unbroken one.

        Where the curves' file alone met its limit, training went on and points are missing: none may be another.
        """
        if not (run / "summary.json").exists():
            self.go(self.command(run), run, as_it_is)
        found, wanted = what_is_there(run), self.expected["curves"]
        if fault == "limit" and all(set(wanted[tag]) >= set(points) for tag, points in found["curves"].items()):
            found["curves"] = wanted
        return ", ".join(name for name in self.expected if found[name] != self.expected[name])

    def run(self, fault: str, count: int) -> dict[str, Any]:
        places = {
            "kill": range(count),
            "kill-at": self.rng.sample(range(self.calls), min(count, self.calls)),
            "full": self.rng.sample(range(self.calls), min(count, self.calls)),
            "limit": self.rng.sample(SIZES, count),
        }[fault]
        ways = {"kill-at": killed_at, "full": full_at, "limit": limited_to}
        self.faults, different = 0, {}
        for place in places:
            run = self.folder / f"{fault}-{place}"
            problem = self.killed_at_random(run) if fault == "kill" else self.cut_off(run, ways[fault](place))
            if problem := problem or self.difference(run, fault):
                different[run.name] = problem
            else:
                shutil.rmtree(run)
        return {"fault": fault, "trials": len(places), "faults": self.faults, "different": different}


if __name__ == "__main__":
    torch.set_num_threads(1)  # threads do not survive a fork
    place, model, seed, *faults = sys.argv[1:]
    trials = Trials(Path(place), model, int(seed))
    for fault, count in (argument.split("=") for argument in faults):
        print(json.dumps(trials.run(fault, int(count))), flush=True)
