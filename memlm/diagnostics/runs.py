"""Whether every run is whole, and still gives the figure that was noted with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from memlm.data import dataset
from memlm.errors import MemlmError
from memlm.inference.evaluation import reproduce
from memlm.inference.load import load_tasks, load_text
from memlm.runs import checkpoint, summary
from memlm.runs.folder import RunFolder

TOLERANCE = 1e-4  # of a perplexity that is computed again, relative: other hardware sums in another order
TOLERATED_ERROR = 0.5  # percent of a task's questions: those whose two best answers are as good as equal


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at and found; `ok` is None where there was nothing to check, `remedy` is what to do."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


def all_runs(folder: Path) -> Iterator[Check]:
    """Every run of the folder: its checkpoints are whole, and give the figures that were noted with them."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (path / "config.toml").is_file():
            yield check_run(path)


def check_run(path: Path) -> Check:
    """One run: what is damaged is said; what was not noted, or whose data is not here, is said and no failure."""
    name, remedy = f"run {path}", ""
    try:
        ok, found = _errors(path) if RunFolder.open(path).manifest().answers_questions else _perplexity(path)
        if ok is False:
            remedy = "its data or memlm has changed since: memlm data verify"
    except checkpoint.DamagedError as error:
        ok, found = False, str(error)
        remedy = f"memlm train --resume {path} goes on from the checkpoint before it, if there is one"
    except MemlmError as error:
        ok, found = False, str(error)
    return Check(name=name, ok=ok, found=found, remedy=remedy)


def _perplexity(path: Path) -> tuple[bool | None, str]:
    """Of a language model: the first tokens of its validation text, scored again."""
    whole = _checkpoints(path)
    if not (path / "best").exists():
        return None, f"{len(whole)} checkpoint, not yet validated"
    model = load_text(path)
    found = f"{model.config.model.label}, step {model.step}, {_hashes(whole)}"
    if not dataset.is_there(model.config.dataset):
        return None, f"{found}; its text, {model.config.dataset}, is not here"
    again = reproduce(model)
    if again is None:
        return None, f"{found}; no perplexity was noted to hold it against"
    noted, now = again
    found = f"{found}; perplexity of the first tokens of validation {now:.4f}, noted {noted:.4f}"
    return abs(now / noted - 1) <= TOLERANCE, found


def _errors(path: Path) -> tuple[bool | None, str]:
    """Of a run of question answering, of one model or of one a task: the test questions, answered again."""
    whole = [state for folder in (path, *sorted(path.glob("task-*"))) for state in _checkpoints(folder)]
    if not (path / "summary.json").exists():
        return None, f"checkpoints: {len(whole)}; it has not ended yet"
    model = load_tasks(path)
    found = f"{model.config.model.label}, tasks: {len(model.models)}, {_hashes(whole)}"
    if not dataset.is_there(model.config.dataset):
        return None, f"{found}; its questions, {model.config.dataset}, are not here"
    noted, now = summary.read_summary(path), model.evaluate()
    odd = [task for task, error in now["tasks"].items() if abs(error - noted["tasks"][task]) > TOLERATED_ERROR]
    found = f"{found}; mean test error {now['mean_error']:.2f}%, noted {noted['mean_error']:.2f}%"
    return not odd, f"{found}; not as noted: task {', '.join(odd)}" if odd else found


def _checkpoints(folder: Path) -> list[checkpoint.Checkpoint]:
    """Those of a run, read whole. Raises DamagedError."""
    return [checkpoint.read_this(folder / which) for which in ("best", "last") if (folder / which).exists()]


def _hashes(whole: list[checkpoint.Checkpoint]) -> str:
    return "hashes right" if all("files" in state.meta for state in whole) else "of a release that noted no hashes"
