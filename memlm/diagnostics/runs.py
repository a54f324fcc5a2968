"""Checks runs: their checkpoints are whole, and give the same results as when they were saved."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from memlm.data import dataset
from memlm.errors import MemlmError
from memlm.inference.evaluation import remeasure
from memlm.inference.load import load_tasks, load_text
from memlm.runs import checkpoint, summary
from memlm.runs.folder import RunFolder

TOLERANCE = 1e-4  # relative, of a perplexity that is computed again: other hardware sums in another order
TOLERATED_ERROR = 0.5  # percent of a task's questions: the two best answers may have almost equal scores


@dataclass(frozen=True, kw_only=True)
class Check:
    """The result of a check. `ok` is None if there was nothing to check. `remedy` says what to do if it is false."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


def all_runs(folder: Path) -> Iterator[Check]:
    """Check every run in the folder."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (path / "config.toml").is_file():
            yield check_run(path)


def check_run(path: Path) -> Check:
    """Check one run. `ok` is None if its results were not recorded or its data is not on this machine."""
    name, remedy = f"run {path}", ""
    try:
        ok, found = _errors(path) if RunFolder.open(path).manifest().answers_questions else _perplexity(path)
        if ok is False:
            remedy = "its data or memlm has changed since then: memlm data verify"
    except checkpoint.DamagedError as error:
        ok, found = False, str(error)
        remedy = f"memlm train --resume {path} continues from the previous checkpoint, if there is one"
    except MemlmError as error:
        ok, found = False, str(error)
    return Check(name=name, ok=ok, found=found, remedy=remedy)


def _perplexity(path: Path) -> tuple[bool | None, str]:
    """Check a language model: score the first tokens of its validation text again."""
    whole = _checkpoints(path)
    if not (path / "best").exists():
        return None, f"checkpoints: {len(whole)}; not validated yet"
    model = load_text(path)
    found = f"{model.config.model.label}, step {model.step}, {_hashes(whole)}"
    if not dataset.is_there(model.config.dataset):
        return None, f"{found}; its text, {model.config.dataset}, is not on this machine"
    again = remeasure(model)
    if again is None:
        return None, f"{found}; no perplexity was recorded to compare with"
    recorded, now = again
    found = f"{found}; perplexity of the first validation tokens is {now:.4f}, recorded {recorded:.4f}"
    return abs(now / recorded - 1) <= TOLERANCE, found


def _errors(path: Path) -> tuple[bool | None, str]:
    """Check a run of question answering, with one model or one model per task: answer the test questions again."""
    whole = [state for folder in (path, *sorted(path.glob("task-*"))) for state in _checkpoints(folder)]
    if not (path / "summary.json").exists():
        return None, f"checkpoints: {len(whole)}; not finished yet"
    model = load_tasks(path)
    found = f"{model.config.model.label}, tasks: {len(model.models)}, {_hashes(whole)}"
    if not dataset.is_there(model.config.dataset):
        return None, f"{found}; its questions, {model.config.dataset}, are not on this machine"
    recorded, now = summary.read_summary(path), model.evaluate()
    odd = [task for task, error in now["tasks"].items() if abs(error - recorded["tasks"][task]) > TOLERATED_ERROR]
    found = f"{found}; mean test error is {now['mean_error']:.2f}%, recorded {recorded['mean_error']:.2f}%"
    return not odd, f"{found}; different from the record: task {', '.join(odd)}" if odd else found


def _checkpoints(folder: Path) -> list[checkpoint.Checkpoint]:
    """The checkpoints of a run, read completely. Raises DamagedError."""
    return [checkpoint.read_this(folder / which) for which in ("best", "last") if (folder / which).exists()]


def _hashes(whole: list[checkpoint.Checkpoint]) -> str:
    return "hashes are right" if all("files" in state.meta for state in whole) else "saved by a release without hashes"
