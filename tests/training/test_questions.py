"""Training restarts side by side: each as if alone, resumable, and by the paper's rules."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from memlm.config.models import AnswererConfig, LSTMAnswererConfig
from memlm.config.recipes import RECIPES, recipe
from memlm.config.run import QAConfig
from memlm.config.training import QATrainConfig
from memlm.data.questions.babi import Question
from memlm.data.questions.encode import QuestionSet, encode, vocabulary
from memlm.data.questions.tasks import Tasks
from memlm.errors import MemlmError
from memlm.evaluation.answers import answer_all, judge
from memlm.experiments import qa_runs
from memlm.experiments.qa_fit import fit
from memlm.inference import load
from memlm.models import build
from memlm.models.answerer import Answerer
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.training.optim import MatrixClippedSGD
from memlm.training.questions import Training
from memlm.training.schedule import Schedule

PEOPLE, PLACES = ("ann", "bob", "cleo"), ("hall", "park", "shop")
QUESTIONS = 120
SMALL = QAConfig(
    model=AnswererConfig(hops=2, units=8, memory_size=6, init_std=0.3),
    train=QATrainConfig(
        restarts=3, epochs=4, noise=0.1, linear_start="validation", linear_patience=1, linear_lr=0.1, lr=0.02
    ),
)


def make_questions() -> list[Question]:
    """Where somebody is, after up to six sentences about who went where."""
    rng = np.random.default_rng(5)
    asked = []
    for line in range(QUESTIONS):
        moves = [(str(rng.choice(PEOPLE)), str(rng.choice(PLACES))) for _ in range(int(rng.integers(1, 7)))]
        who = moves[int(rng.integers(len(moves)))][0]
        where = [place for person, place in moves if person == who][-1]
        asked.append(
            Question(
                story=tuple((person, "went", "to", place) for person, place in moves),
                words=("where", "is", who),
                answer=where,
                supporting=(),
                line=line,
                lines=tuple(range(len(moves))),
                source="a test",
            )
        )
    return asked


ASKED = make_questions()
WORDS = vocabulary(ASKED)


@pytest.fixture(scope="module")
def questions() -> QuestionSet:
    return encode(ASKED, WORDS, memory_size=6)


def start(config: QAConfig, questions: QuestionSet) -> Training:
    model = build.build_answerer(config, len(WORDS), restarts=config.train.restarts)
    model.initialise(config.train.seed)
    return Training(model, config.train, questions, np.ones(len(questions), np.int64), torch.device("cpu"))


def with_train(config: QAConfig, **values: Any) -> QAConfig:
    return dataclasses.replace(config, train=config.train.replace(values))


def train(training: Training, epochs: int) -> list[dict[str, Any]]:
    lines = []
    for _ in range(epochs):
        assert training.epoch()
        lines.append(training.end_epoch())
    return lines


def parameters(model: Answerer) -> list[torch.Tensor]:
    return [p.detach() for p in model.parameters()]


LAYERWISE = dataclasses.replace(SMALL, model=SMALL.model.replace({"tying": "layerwise"}))
READER = QAConfig(model=LSTMAnswererConfig(units=6, memory_size=6), train=SMALL.train.replace({"linear_start": "no"}))


@pytest.mark.parametrize("config", [SMALL, LAYERWISE, READER], ids=["adjacent", "layerwise", "lstm"])
def test_restarts_trained_together_are_those_trained_alone(config: QAConfig, questions: QuestionSet):
    together = start(config, questions)
    lines = train(together, 6)
    if config is SMALL:
        assert len({tuple(line["linear"]) for line in lines}) > 1  # some leave the linear start before others
    for restart, seed in enumerate(config.train.seeds):
        alone = start(with_train(config, restarts=1, seed=seed), questions)
        for line, own in zip(lines, train(alone, 6), strict=True):
            for key in ("train_cost", "train_error", "valid_cost", "valid_error", "lr", "linear"):
                assert own[key][0] == pytest.approx(line[key][restart], rel=1e-5, abs=1e-5), key
        for ours, theirs in zip(parameters(together.model), parameters(alone.model), strict=True):
            torch.testing.assert_close(ours[restart], theirs[0], rtol=1e-5, atol=1e-5)


class Silent:
    def begin(self, training: Any, numbers: Any, run: Any) -> None: ...

    def epoch(self, metrics: dict[str, Any]) -> None: ...

    def saved(self, step: int) -> None: ...

    def end(self, summary: dict[str, Any]) -> None: ...


class Ask:
    """Stands in for the signals: asks to stop when it was asked `stop_after` times, and to save where `save` does."""

    def __init__(self, stop_after: float = math.inf, save: Callable[[], bool] = lambda: False) -> None:
        self.left, self.save = stop_after, save

    def stop(self) -> bool:
        self.left -= 1
        return self.left < 0


def without_times(run: RunFolder) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in run.metrics()]


@pytest.mark.parametrize("stop_after", [1, 6, 17])
def test_a_stopped_run_goes_on_exactly_where_it_was(stop_after: int, questions: QuestionSet, tmp_path: Path):
    whole, run = start(SMALL, questions), RunFolder.create(tmp_path / "whole", SMALL)
    assert fit(whole, run, Silent(), Ask())
    broken = RunFolder.create(tmp_path / "broken", SMALL)
    assert not fit(start(SMALL, questions), broken, Silent(), Ask(stop_after))
    resumed = start(SMALL, questions)
    qa_runs.restore(resumed, broken)
    assert resumed.progress.step == stop_after
    assert fit(resumed, broken, Silent(), Ask())
    assert without_times(broken) == without_times(run)
    for ours, theirs in zip(parameters(resumed.model), parameters(whole.model), strict=True):
        assert torch.equal(ours, theirs)


def test_a_state_that_is_not_of_a_training_is_one_error(questions: QuestionSet, tmp_path: Path):
    run, training = RunFolder.create(tmp_path / "run", SMALL), start(SMALL, questions)
    checkpoint.save(run.last, training.model, {"step": 1, "progress": {"epoch": 1}}, training={"sums": training.sums})
    with pytest.raises(MemlmError, match="does not hold the state"):
        qa_runs.restore(training, run)


def test_a_damaged_checkpoint_does_not_take_the_place_of_the_one_before_it(questions: QuestionSet, tmp_path: Path):
    run, training = RunFolder.create(tmp_path / "run", SMALL), start(SMALL, questions)
    for _ in range(2):
        train(training, 1)
        qa_runs.save(training, run)
    weights = run.last / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    resumed = start(SMALL, questions)
    qa_runs.restore(resumed, run)
    assert resumed.progress.epoch == 1
    qa_runs.save(resumed, run)
    assert checkpoint.read_this(checkpoint.previous(run.last)).step == resumed.progress.step
    broken = {"step": 1, "progress": {"epoch": 1}}
    checkpoint.save(checkpoint.previous(run.last), training.model, broken, training={"sums": training.sums})
    weights.write_bytes(b"")
    with pytest.raises(MemlmError, match=r"last\.previous is damaged: it does not hold the state"):
        qa_runs.restore(resumed, run)


def test_a_checkpoint_that_is_asked_for_is_made_at_once(questions: QuestionSet, tmp_path: Path):
    run, training = RunFolder.create(tmp_path / "run", SMALL), start(SMALL, questions)
    saved = []

    class Noting(Silent):
        def saved(self, step: int) -> None:
            saved.append((step, checkpoint.read_this(run.last).step))

    assert fit(training, run, Noting(), Ask(save=lambda: training.progress.step == 2 and not saved))
    assert saved == [(2, 2)]  # within an epoch


@pytest.mark.parametrize("stop_after", [1, math.inf])
def test_where_no_restart_is_finite_training_stops_and_the_last_good_state_stays(
    stop_after: float, questions: QuestionSet, tmp_path: Path
):
    run, training = RunFolder.create(tmp_path / "run", SMALL), start(SMALL, questions)
    train(training, 1)
    qa_runs.save(training, run)
    for parameter in training.model.parameters():
        parameter.data.fill_(math.nan)
    refusal = (
        r"no restart has a finite cost in epoch 2, at learning rate 0\.1; .*last, of step 4, is the last good state"
    )
    with pytest.raises(MemlmError, match=refusal):
        fit(training, run, Silent(), Ask(stop_after))
    assert checkpoint.read_this(run.last).meta["progress"]["epoch"] == 1
    assert not checkpoint.previous(run.last).exists()


def test_a_restart_that_is_not_finite_does_not_stop_the_others(questions: QuestionSet, tmp_path: Path):
    run, training = RunFolder.create(tmp_path / "run", SMALL), start(SMALL, questions)
    next(training.model.parameters()).data[1, 0, 0] = math.inf
    assert fit(training, run, Silent(), Ask())
    assert training.finite().tolist() == [True, False, True]


def test_each_matrix_of_each_restart_is_clipped_on_its_own():
    small, large = nn.Parameter(torch.zeros(2, 3, 4)), nn.Parameter(torch.zeros(2, 5))
    small.grad, large.grad = torch.ones(2, 3, 4), torch.full((2, 5), 100.0)
    small.grad[1] *= 50
    MatrixClippedSGD([small, large], clip=40.0).step(torch.tensor([0.5, 0.25]))
    assert small.grad is None
    small, large = small.detach(), large.detach()
    assert torch.equal(small[0], torch.full((3, 4), -0.5))  # norm 3.5: as it is
    assert float(small[1].norm()) == pytest.approx(0.25 * 40)
    assert float(large[0].norm()) == pytest.approx(0.5 * 40)
    assert float(large[1].norm()) == pytest.approx(0.25 * 40)


def test_a_linear_start_ends_when_the_validation_cost_stops_falling():
    config = QATrainConfig(
        restarts=2, linear_start="validation", linear_patience=2, linear_epochs=5, linear_lr=0.3, lr=0.1, epochs=3
    )
    schedule = Schedule.begin(config)
    costs = [[9.0, 9.0], [8.0, 8.0], [8.5, 7.0], [8.5, 6.0], [0.1, 5.0], [0.1, 4.0], [0.1, 3.0], [0.1, 2.0]]
    straight, rates = [], []
    for cost in costs:
        straight.append(list(schedule.straight))
        rates.append(schedule.rates(config))
        assert not schedule.finished(config)
        schedule.epoch_ended(config, cost)
    assert [s for s, _ in straight] == [True] * 4 + [False] * 4  # no new low in epochs 3 and 4
    assert [s for _, s in straight] == [True] * 5 + [False] * 3  # five at most
    assert [r for r, _ in rates] == [0.3] * 4 + [0.1] * 3 + [0.0]  # its epochs are over
    assert schedule.finished(config)


def test_a_linear_start_of_fixed_epochs_ignores_the_cost():
    config = QATrainConfig(restarts=1, linear_start="fixed", linear_patience=1, linear_epochs=3)
    schedule = Schedule.begin(config)
    for _ in range(3):
        assert schedule.straight == [True]
        schedule.epoch_ended(config, [math.nan])
    assert schedule.straight == [False]


def test_the_rate_is_halved_every_so_many_epochs():
    config = QATrainConfig(restarts=1, lr=0.08, halve_every=2, epochs=5)
    schedule, rates = Schedule.begin(config), []
    for _ in range(6):
        rates += schedule.rates(config)
        schedule.epoch_ended(config, [1.0])
    assert rates == [0.08, 0.08, 0.04, 0.04, 0.02, 0.0]


def test_a_linear_start_attends_without_the_softmax(questions: QuestionSet):
    training = start(SMALL, questions)
    straight = training.straight()
    assert straight is not None
    asked = training.feed(training.train[:, :8])
    _, (weights, _) = training.model(asked, straight)
    assert (weights < 0).any()
    training.progress.schedule.straight = [False, True, False]
    _, (mixed, _) = training.model(asked, training.straight())
    torch.testing.assert_close(mixed[1], weights[1])
    assert (mixed[[0, 2]] >= 0).all()


def test_the_restart_of_the_lowest_training_error_is_kept(questions: QuestionSet, tmp_path: Path):
    training = start(with_train(SMALL, epochs=25), questions)
    ones = np.ones(len(questions), np.int64)
    sets: dict[str, Any] = {"train": questions, "test": questions, "train_task_of": ones, "test_task_of": ones}
    data = Tasks(words=WORDS, **sets)
    run = RunFolder.create(tmp_path / "run", SMALL, WORDS)
    train(training, 25)
    result = qa_runs.conclude(training, data, run)
    errors = [restart["train_error"] for restart in result["restarts"]]
    assert errors[result["best"]] == min(errors)
    kept = load.load_task(run).model
    for ours, theirs in zip(parameters(kept), parameters(training.model), strict=True):
        assert torch.equal(ours[0], theirs[result["best"]])
    wrong = answer_all(kept, training.feed, np.arange(len(questions))).wrong
    assert 100 * wrong.mean() == pytest.approx(result["mean_error"])


def test_models_learn(questions: QuestionSet):
    training = start(with_train(SMALL, epochs=60, linear_epochs=10), questions)
    while not training.finished:
        train(training, 1)
    errors = training.progress.history[-1]["train_error"]
    assert training.progress.history[0]["train_error"][0] > 40
    assert min(errors) < 10


def test_an_unknown_answer_is_wrong_and_scores_that_are_no_numbers_are_too():
    scores = torch.tensor([[[5.0, 1.0], [5.0, 1.0], [math.nan, 1.0]]])
    nats, wrong = judge(scores, torch.tensor([[0, -1, 0]]))
    assert wrong.tolist() == [[False, True, True]]
    assert nats[0, 1] == math.inf


@pytest.mark.parametrize("name", [name for name in RECIPES if isinstance(recipe(name), QAConfig)])
@pytest.mark.parametrize("size", ["1k", "10k"])
def test_every_recipe_takes_a_step(name: str, size: str, questions: QuestionSet):
    config = with_train(recipe(name, size=size), restarts=2)
    config = dataclasses.replace(config, model=config.model.replace({"memory_size": 6}))
    training = start(config, questions)
    before = [p.clone() for p in parameters(training.model)]
    calls = iter(range(1))
    assert not training.epoch(lambda: next(calls, None) is None)
    assert training.progress.step == 1
    changed = [not torch.equal(old, new) for old, new in zip(before, parameters(training.model), strict=True)]
    assert all(changed)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task": "two"}, "task is 'two'; it must be a task's number or all"),
        ({"task": "3", "joint": True}, "a joint model is trained on all tasks"),
        ({"size": "2k"}, "unknown size '2k'"),
        ({"restarts": 0}, "restarts is 0; it must be at least 1"),
    ],
)
def test_bad_settings_are_refused(values: dict[str, Any], message: str):
    with pytest.raises(MemlmError, match=message):
        QATrainConfig(**values)
