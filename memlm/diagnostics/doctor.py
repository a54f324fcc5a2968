"""The checks of `memlm doctor`: installation, data, runs, and exact resume on this machine."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from packaging.requirements import Requirement

from memlm import files, kernels
from memlm.config.models import LSTMConfig, MemN2NConfig
from memlm.config.training import TrainConfig
from memlm.data.batches import gather, plan_epoch
from memlm.data.catalog.datasets import CATALOG, how_to_get
from memlm.data.corpus.reading import encode
from memlm.data.fetch import get
from memlm.data.storage import data_root
from memlm.data.vocabulary.words import Vocabulary
from memlm.diagnostics.bench.cases import make_training
from memlm.diagnostics.runs import Check, all_runs
from memlm.errors import MemlmError
from memlm.models.device import choose_device, choose_precision
from memlm.runs import checkpoint
from memlm.runs.environment import environment
from memlm.runs.folder import RunFolder

PATIENCE = 60.0  # seconds that a run of the resume check may take
EPOCHS = 12
MODELS = {
    "memn2n": ("--hops", "2", "--memory-size", "8", "--units", "12", "--lr", "0.05"),
    "lstm": ("--model", "lstm", "--layers", "2", "--units", "12", "--dropout", "0.2", "--lr", "0.1"),
}


def examine(runs: Path) -> Iterator[Check]:
    """Run all checks, and yield each when it is done. `runs` is the folder of the runs."""
    yield from installation()
    yield machine()
    yield from datasets()
    yield from all_runs(runs)
    yield from exact_resume()


def installation() -> Iterator[Check]:
    """Check the versions of the packages that memlm needs, and a training step of each model."""
    needed = [Requirement(line) for line in requires("memlm") or ()]
    wrong = []
    for requirement in needed:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            try:
                have = version(requirement.name)
            except PackageNotFoundError:
                have = ""
            if not requirement.specifier.contains(have or "0", prereleases=True):
                wrong.append(f"{requirement.name} is {have or 'missing'}, not {requirement.specifier}")
    facts = environment()
    found = f"memlm {facts['memlm']}, Python {facts['python']}, torch {facts['torch']}, numpy {facts['numpy']}"
    yield Check(
        name="installation", ok=not wrong, found="; ".join(wrong) or found, remedy="pip install --upgrade memlm"
    )
    for kind in (MemN2NConfig(hops=2, memory_size=4, units=8), LSTMConfig(units=8, dropout=0.0)):
        yield _trains(kind)


def _trains(kind: MemN2NConfig | LSTMConfig) -> Check:
    """Check that a training step lowers the loss on its targets."""
    train = TrainConfig(sampling=kind.sampling[0], batch_size=8, device="cpu", precision="float32", lr=0.1)
    tokens = encode([["a", "b", "c", "d"]] * 20, Vocabulary(["<eos>", "<unk>", "a", "b", "c", "d"])).tokens
    training = make_training(kind, train, 6, torch.device("cpu"))
    batch = gather(tokens, plan_epoch(train, len(tokens), 0)[0], training.model.context_size)
    nats = [0.0]
    for _ in range(2):
        training.carried = None
        training.step(batch)
        training.settle()
        nats.append(training.progress[0].totals.nats - sum(nats))
    found = f"a training step changes the loss of {kind.name} from {nats[1]:.3f} to {nats[2]:.3f} nats"
    return Check(name=f"{kind.name} trains", ok=nats[2] < nats[1], found=found, remedy="install torch again")


def machine() -> Check:
    """The threads, device and precision in use. This is information only."""
    facts, device = environment(), choose_device("auto")
    precision = str(choose_precision("auto", device)).removeprefix("torch.")
    where = facts["gpu"] or facts["cpu"]
    found = (
        f"{where}: {facts['threads']} threads on {facts['cores']} cores, device {device}, "
        f"compiled kernels {facts['kernels']}; the output layer trains in {precision}, everything else is in float32"
    )
    remedy = "" if kernels.fits() else "a CPU is faster with kernels: install a C compiler, then memlm again"
    return Check(name="machine", ok=None, found=found, remedy=remedy)


def datasets() -> Iterator[Check]:
    """Check the hash of every file of the datasets that are on this machine."""
    for name in CATALOG:
        try:
            if not get.is_present(name):
                yield Check(name=f"data {name}", ok=None, found="not on this machine", remedy=how_to_get(name))
                continue
            results = get.verify(name)
            bad = [f"{result.path} {result.problem}" for result in results if not result.ok]
            found = "; ".join(bad) or f"{sum(not result.problem for result in results)} files, hashes are right"
            place = data_root() / name
        except MemlmError as error:
            bad, found, place = [name], str(error), data_root() / name
        yield Check(name=f"data {name}", ok=not bad, found=found, remedy=f"move {place} away; memlm data get {name}")


def exact_resume() -> Iterator[Check]:
    """Check exact resume: kill (-9) and resume a run of each model, and compare it with a run that was not killed.

    The runs are in a temporary folder.
    """
    with TemporaryDirectory(prefix="memlm-doctor-") as scratch:
        folder, rng = Path(scratch), random.Random(1)
        for split, lines in (("train", 120), ("valid", 20), ("test", 20)):
            text = "".join(f"a{i % 3} b{rng.randrange(9)} c{i % 7} d\n" for i in range(lines))
            files.write_whole(folder / f"{split}.txt", text.encode())
        for name in MODELS:
            try:
                yield _resumes(folder, name)
            except (OSError, subprocess.TimeoutExpired, MemlmError) as error:
                yield Check(name=f"resume {name}", ok=False, found=str(error), remedy="try again on an idle machine")


def _resumes(folder: Path, name: str) -> Check:
    options = ["--dataset", str(folder), *MODELS[name], "--batch-size", "32", "--chunk-length", "8", "--device", "cpu"]
    options += ["--epochs", str(EPOCHS), "--min-lr", "0", "--checkpoint-every", "7"]
    whole, killed = folder / f"{name}-whole", folder / f"{name}-killed"
    with (
        _memlm("train", *options, "--run-dir", killed) as victim,
        _memlm("train", *options, "--run-dir", whole) as other,
    ):
        deadline = time.monotonic() + PATIENCE
        while victim.poll() is None and time.monotonic() < deadline and not _epochs(killed) > 1:
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.1))
        victim.kill()
        was_killed = victim.wait() < 0
        at = _epochs(killed)
        _finish(other)
    with _memlm("train", "--resume", killed) as resumed:
        _finish(resumed)
    if not was_killed:
        return Check(name=f"resume {name}", ok=False, found="the run ended before it was killed", remedy="try again")
    odd = [what for what, value in _state(whole).items() if _state(killed)[what] != value]
    found = f"a run that was killed after {at} of {EPOCHS} epochs and resumed "
    found += f"differs from a run that was not: {', '.join(odd)}" if odd else "equals a run that was not, bit for bit"
    return Check(
        name=f"resume {name}", ok=not odd, found=found, remedy="please report this, with `memlm doctor --json`"
    )


def _memlm(*words: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "memlm", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _finish(process: "subprocess.Popen[str]") -> None:
    try:
        _, stderr = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    if process.returncode:
        raise MemlmError(f"a run of this check failed: {stderr.strip()[-300:]}")


def _epochs(run: Path) -> int:
    with suppress(OSError):
        return len((run / "metrics.jsonl").read_bytes().splitlines())
    return 0


def _state(run: Path) -> dict[str, Any]:
    """The hashes of the weights and of the training state, and the metrics without times."""
    state: dict[str, Any] = {
        f"{which}/{name}": tensors
        for which in ("best", "last")
        for name, tensors in checkpoint.read_this(run / which).meta["files"].items()
    }
    timeless = [
        {k: v for k, v in line.items() if k not in ("seconds", "tokens_per_second")}
        for line in RunFolder(run).metrics()
    ]
    return state | {"metrics.jsonl": timeless}
