"""Observers: what they are told and when, how they stop a run, and that they do no harm to it."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import memlm as package
from memlm.errors import MemlmError
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import EVENTS, Observers
from memlm.training.learner import Learner
from memlm.training.progress import Totals
from tests.helpers.outcome import outcome
from tests.helpers.questions import shorten_tasks

TEXT: dict[str, Any] = {"hops": 2, "memory_size": 8, "units": 6, "epochs": 2, "device": "cpu", "quiet": True}
QUESTIONS: dict[str, Any] = {"dataset": "stories-qa", "task": 1, "restarts": 2, "epochs": 2, "linear_start": "no"}
QUESTIONS |= {"device": "cpu", "quiet": True}

pytestmark = pytest.mark.usefixtures("memlm")  # an empty folder


class Noting(package.Observer):
    """Notes the events and what came with them."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[Any, ...]]] = []

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.told]

    def of(self, event: str) -> list[tuple[Any, ...]]:
        return [what for name, what in self.told if name == event]

    def began(self, learner: Learner, run: RunFolder) -> None:
        self.told.append(("began", (learner.steps, run.path)))

    def point(self, learner: Learner, recent: Totals, figures: Mapping[str, float]) -> None:
        self.told.append(("point", (learner.steps, recent.steps, recent.targets, dict(figures))))

    def epoch(self, learner: Learner, metrics: dict[str, Any], best: bool) -> None:
        self.told.append(("epoch", (metrics, best)))

    def saved(self, learner: Learner, asked: bool) -> None:
        self.told.append(("saved", (learner.steps, asked)))

    def ended(self, learner: Learner, summary: dict[str, Any] | None) -> None:
        self.told.append(("ended", (summary,)))


def stops_at(event: str) -> Any:
    """An object with one method alone, which asks to stop."""
    return SimpleNamespace(**{event: lambda *what: package.STOP})


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path, "metrics.jsonl").read_text().splitlines()]


def test_it_is_told_what_happens_in_its_order(corpus: Path):
    seen = Noting()
    package.train("memn2n", dataset=corpus, run_dir="run", log_every=5, callbacks=[seen], **TEXT)
    steps = lines("run")[0]["step"]
    assert 5 < steps < 10
    of_an_epoch = ["point", "point", "epoch", "saved"]
    assert seen.events == ["began", "saved", *of_an_epoch, *of_an_epoch, "ended"]
    assert seen.of("began") == [(0, Path("run"))]
    assert [what[:2] for what in seen.of("point")] == [
        (5, 5),
        (steps, steps - 5),
        (steps + 5, 5),
        (2 * steps, steps - 5),
    ]
    assert sum(what[2] for what in seen.of("point")) == 2 * 600  # targets: each word of the text once an epoch
    assert {"lr", "grad_norm", "tokens_per_second"} <= set(seen.of("point")[0][3])
    assert [what[0] for what in seen.of("epoch")] == lines("run")
    assert seen.of("epoch")[0][1] is True
    assert seen.of("saved") == [(0, False), (steps, False), (2 * steps, False)]
    assert seen.of("ended") == [(json.loads(Path("run/summary.json").read_text()),)]


def test_whether_an_epoch_is_the_best_is_told(corpus: Path):
    seen = Noting()
    package.train("memn2n", dataset=corpus, run_dir="run", callbacks=[seen], **(TEXT | {"lr": 0.3, "epochs": 8}))
    found, lowest = [], float("inf")
    for line in lines("run"):
        found.append(line["valid_perplexity"] < lowest)
        lowest = min(lowest, line["valid_perplexity"])
    assert [best for _, best in seen.of("epoch")] == found
    assert set(found) == {True, False}


def test_questions_tell_it_too(monkeypatch: pytest.MonkeyPatch):
    shorten_tasks(monkeypatch)
    seen = Noting()
    package.train("pe-ls-rn", run_dir="run", callbacks=[seen], **QUESTIONS)
    assert seen.events == ["began", "saved", "epoch", "epoch", "saved", "ended"]
    assert [what[0] for what in seen.of("epoch")] == lines("run")
    assert seen.of("ended") == [(json.loads(Path("run/summary.json").read_text()),)]
    seen = Noting()
    package.train("pe-ls-rn", run_dir="all", callbacks=[seen], **(QUESTIONS | {"task": "all"}))
    assert [path for _, path in seen.of("began")] == [Path(f"all/task-{task}") for task in (1, 2, 3)]


def test_a_resumed_run_begins_again_where_it_was(corpus: Path):
    seen = Noting()
    package.train("memn2n", dataset=corpus, run_dir="run", callbacks=[stops_at("epoch"), seen], **TEXT)
    steps = lines("run")[0]["step"]
    assert seen.of("ended") == [(None,)]
    seen = Noting()
    package.resume("run", callbacks=[seen], quiet=True)
    assert seen.of("began") == [(steps, Path("run"))]
    assert [line["epoch"] for line, _ in seen.of("epoch")] == [2]


@pytest.mark.parametrize(("event", "epochs"), [("began", 0), ("point", 0), ("epoch", 1), ("saved", 0)])
def test_each_event_can_stop_a_run_which_then_goes_on_exactly(event: str, epochs: int, corpus: Path):
    package.train("memn2n", dataset=corpus, run_dir="whole", **TEXT)
    package.train(
        "memn2n", dataset=corpus, run_dir="broken", callbacks=[stops_at(event), Noting()], log_every=2, **TEXT
    )
    assert not Path("broken/summary.json").exists()
    assert len(lines("broken")) == epochs
    assert Path("broken/last").exists()
    package.resume("broken", quiet=True)
    assert outcome("broken") == outcome("whole")


@pytest.mark.parametrize("event", ["began", "epoch", "saved"])
def test_each_event_can_stop_questions(event: str, monkeypatch: pytest.MonkeyPatch):
    shorten_tasks(monkeypatch)
    package.train("pe-ls-rn", run_dir="whole", **QUESTIONS)
    assert package.train("pe-ls-rn", run_dir="broken", callbacks=[stops_at(event)], **QUESTIONS) is None
    package.resume("broken", quiet=True)
    assert outcome("broken") == outcome("whole")


def test_at_the_end_there_is_nothing_left_to_stop_but_the_tasks_that_follow(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
):
    shorten_tasks(monkeypatch)
    package.train("memn2n", dataset=corpus, run_dir="text", callbacks=[stops_at("ended")], **TEXT)
    assert Path("text/summary.json").exists()
    settings = QUESTIONS | {"task": "all"}
    assert package.train("pe-ls-rn", run_dir="all", callbacks=[stops_at("ended")], **settings) is None
    assert sorted(path.parent.name for path in Path("all").glob("task-*/summary.json")) == ["task-1"]


@pytest.mark.parametrize("event", EVENTS)
def test_what_an_observer_raises_ends_the_run_which_goes_on_exactly(event: str, corpus: Path):
    class Fails:
        def __init__(self) -> None:
            setattr(self, event, self.told)
            self.left = 1 if event in ("began", "ended") else 2

        def told(self, *what: Any) -> None:
            self.left -= 1
            if not self.left:
                raise ZeroDivisionError("mine")

    package.train("memn2n", dataset=corpus, run_dir="whole", **TEXT)
    fails: Any = Fails()
    with pytest.raises(ZeroDivisionError, match="mine"):
        package.train("memn2n", dataset=corpus, run_dir="broken", callbacks=[fails], **TEXT)
    if event != "ended":  # which is told when all is done
        package.resume("broken", quiet=True)
    assert outcome("broken") == outcome("whole")


def test_observers_change_nothing(corpus: Path):
    package.train("memn2n", dataset=corpus, run_dir="a", **TEXT)
    package.train("memn2n", dataset=corpus, run_dir="b", callbacks=[Noting(), package.Observer()], **TEXT)
    assert outcome("a") == outcome("b")


def test_an_object_with_one_of_the_methods_will_do(corpus: Path):
    class Plain:
        epochs = 0

        def epoch(self, learner: Learner, metrics: dict[str, Any], best: bool) -> None:
            self.epochs += 1

    plain: Any = Plain()
    package.train("memn2n", dataset=corpus, run_dir="run", callbacks=[plain], **TEXT)
    assert plain.epochs == 2


def test_only_stop_stops(corpus: Path):
    """Not whatever else is true."""
    truthful: Any = SimpleNamespace(epoch=lambda *what: True)
    package.train("memn2n", dataset=corpus, run_dir="run", callbacks=[truthful], **TEXT)
    assert len(lines("run")) == 2


@pytest.mark.parametrize("what", [object(), print, None, "epoch", package.Observer])
def test_what_has_none_of_the_methods_is_refused(what: Any):
    with pytest.raises(MemlmError, match="is no observer: it has none of the methods began, point, epoch, saved, end"):
        Observers([what])


def test_one_that_stops_hides_nothing_from_the_others():
    seen, both = Noting(), Observers([stops_at("ended"), Noting()])
    several = Observers([both, seen])
    several.tell("ended", None, None)
    assert (several.stop, both.stop, seen.events) == (True, True, ["ended"])
