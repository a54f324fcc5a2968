"""Training restarts side by side: each as if alone, resumable, and by the paper's rules."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from memlm.config.models import AnswererConfig, LSTMAnswererConfig
from memlm.config.recipes import RECIPES, recipe
from memlm.config.run import QAConfig
from memlm.config.training import QATrainConfig
from memlm.data.questions.babi import Question
from memlm.data.questions.encode import QuestionSet, encode, vocabulary
from memlm.data.questions.tasks import Tasks
from memlm.errors import MemlmError
from memlm.evaluation.answers import answer_all, judge
from memlm.experiments.question_run import judge_restarts
from memlm.inference import load
from memlm.models import build
from memlm.models.answerer import Answerer
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import Observer
from memlm.training.learner import Learner
from memlm.training.questions import QuestionLearner
from memlm.training.schedule import Halving
from tests.helpers.training import after_calls, run_fit, without_times

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


def start(config: QAConfig, questions: QuestionSet) -> QuestionLearner:
    model = build.build_answerer(config, len(WORDS), restarts=config.train.restarts)
    model.initialise(config.train.seed)
    return QuestionLearner(model, config.train, questions, np.ones(len(questions), np.int64), torch.device("cpu"))


def with_train(config: QAConfig, **values: Any) -> QAConfig:
    return dataclasses.replace(config, train=config.train.replace(values))


def train(training: QuestionLearner, epochs: int) -> list[dict[str, Any]]:
    lines = []
    for _ in range(epochs):
        for batch in training.batches():
            training.step(batch)
        assert training.epoch_is_whole
        training.settle()
        training.validate()
        lines.append(training.line(training.epoch))
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


@pytest.mark.parametrize("stop_after", [1, 6, 17])
def test_a_stopped_run_goes_on_exactly_where_it_was(stop_after: int, questions: QuestionSet, tmp_path: Path):
    whole, run = start(SMALL, questions), RunFolder.create(tmp_path / "whole", SMALL)
    assert run_fit(whole, run) == "epochs"
    broken = RunFolder.create(tmp_path / "broken", SMALL)
    assert run_fit(start(SMALL, questions), broken, after_calls(stop_after)) == "stopped"
    resumed = start(SMALL, questions)
    resumed.load(broken)
    assert run_fit(resumed, broken) == "epochs"
    assert without_times(broken) == without_times(run)
    for ours, theirs in zip(parameters(resumed.model), parameters(whole.model), strict=True):
        assert torch.equal(ours, theirs)


def test_more_epochs_go_on_as_if_they_had_been_asked_for_at_first(questions: QuestionSet, tmp_path: Path):
    config = with_train(SMALL, linear_start="fixed", linear_epochs=2)
    whole, run = start(config, questions), RunFolder.create(tmp_path / "whole", config)
    assert run_fit(whole, run) == "epochs"
    short, broken = with_train(config, epochs=2), RunFolder.create(tmp_path / "broken", config)
    assert run_fit(start(short, questions), broken) == "epochs"
    resumed = start(config, questions)
    resumed.load(broken)
    assert run_fit(resumed, broken) == "epochs"
    assert without_times(broken) == without_times(run)
    for ours, theirs in zip(parameters(resumed.model), parameters(whole.model), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("every", "steps"), [("0", [0, 16]), ("5", [0, 5, 10, 15, 16])])
def test_checkpoints_are_made_when_they_are_due_and_at_the_end(
    every: str, steps: list[int], questions: QuestionSet, tmp_path: Path
):
    """And not after each epoch, which takes a moment."""
    config = with_train(SMALL, checkpoint_every=every, linear_start="no")
    run, training, found = RunFolder.create(tmp_path / "run", config), start(config, questions), []

    class Noting(Observer):
        def saved(self, learner: Learner, asked: bool) -> None:
            found.append(checkpoint.read_this(run.last).step)

    assert run_fit(training, run, observers=[Noting()]) == "epochs"
    assert found == steps
    assert len(run.metrics()) == 4


def test_the_time_between_checkpoints_starts_anew_after_each(
    questions: QuestionSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each step takes 4 seconds here, and a checkpoint is due every 10."""
    config = with_train(SMALL, checkpoint_every=f"{10 / 60}min", linear_start="no")
    run, training = RunFolder.create(tmp_path / "run", config), start(config, questions)
    monkeypatch.setattr("time.monotonic", lambda: 1000.0 + 4 * training.steps)
    found = []

    class Noting(Observer):
        def saved(self, learner: Learner, asked: bool) -> None:
            found.append(learner.steps)

    assert run_fit(training, run, observers=[Noting()]) == "epochs"
    assert found == [0, 3, 6, 9, 12, 15, 16]


def test_a_state_that_is_not_of_a_training_is_one_error(questions: QuestionSet, tmp_path: Path):
    run, training = RunFolder.create(tmp_path / "run", SMALL), start(SMALL, questions)
    sums = {"sums": torch.zeros(2, 3)}
    checkpoint.save(run.last, training.model, {"step": 1, "progress": {"epoch": 1}}, training=sums)
    with pytest.raises(MemlmError, match="does not hold the state"):
        training.load(run)


def test_a_damaged_checkpoint_does_not_take_the_place_of_the_one_before_it(questions: QuestionSet, tmp_path: Path):
    run, training = RunFolder.create(tmp_path / "run", SMALL), start(SMALL, questions)
    for _ in range(2):
        train(training, 1)
        training.save(run)
    weights = run.last / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    resumed = start(SMALL, questions)
    resumed.load(run)
    assert resumed.epoch == 1
    resumed.save(run)
    assert checkpoint.read_this(checkpoint.previous(run.last)).step == resumed.steps
    broken = {"step": 1, "progress": {"epoch": 1}}
    checkpoint.save(checkpoint.previous(run.last), training.model, broken, training={"sums": torch.zeros(2, 3)})
    weights.write_bytes(b"")
    with pytest.raises(MemlmError, match=r"last\.previous is damaged: it does not hold the state"):
        resumed.load(run)


def test_a_checkpoint_that_is_asked_for_is_made_at_once(questions: QuestionSet, tmp_path: Path):
    run, training = RunFolder.create(tmp_path / "run", SMALL), start(SMALL, questions)
    saved = []

    class Noting(Observer):
        def saved(self, learner: Learner, asked: bool) -> None:
            if asked:
                saved.append((learner.steps, checkpoint.read_this(run.last).step))

    run_fit(training, run, save=lambda: training.steps == 2 and not saved, observers=[Noting()])
    assert saved == [(2, 2)]  # within an epoch


@pytest.mark.parametrize("stop_after", [1, 10_000])
def test_where_no_restart_is_finite_training_stops_and_the_last_good_state_stays(
    stop_after: int, questions: QuestionSet, tmp_path: Path
):
    run, training = RunFolder.create(tmp_path / "run", SMALL), start(SMALL, questions)
    train(training, 1)
    training.save(run)
    for parameter in training.model.parameters():
        parameter.data.fill_(math.nan)
    refusal = r"no restart is left: .* at learning rate 0\.1; .*last, of step 4, is the last good state"
    with pytest.raises(MemlmError, match=refusal):
        run_fit(training, run, after_calls(stop_after))
    assert checkpoint.read_this(run.last).meta["progress"]["epoch"] == 1
    assert not checkpoint.previous(run.last).exists()


def test_a_restart_that_is_not_finite_is_left_out_and_the_others_go_on(questions: QuestionSet, tmp_path: Path):
    run, training = RunFolder.create(tmp_path / "run", SMALL), start(SMALL, questions)
    train(training, 1)
    next(training.model.parameters()).data[1, 0, 0] = math.inf
    assert run_fit(training, run) == "epochs"
    assert [each.diverged is None for each in training.progress] == [True, False, True]
    costs = [line["valid_cost"] for line in run.metrics()]
    assert [cost[1] is None for cost in costs] == [False] + [True] * (len(costs) - 1)
    assert all(cost[0] is not None and cost[2] is not None for cost in costs)
    again = start(SMALL, questions)
    again.load(run)
    assert again.history == training.history
    assert [each.diverged is None for each in again.progress] == [True, False, True]


def test_halve_goes_back_with_half_the_rate(
    questions: QuestionSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    config = with_train(SMALL, restarts=1, on_divergence="halve", linear_start="no", lr=0.1, checkpoint_every="2")
    real = QuestionLearner.step

    def step(learner: QuestionLearner, batch: Any) -> None:
        real(learner, batch)
        if learner.steps > 5 and learner.optimizer.rates[0] > 0.03:
            learner._sums[0] = math.nan

    monkeypatch.setattr(QuestionLearner, "step", step)
    run, training = RunFolder.create(tmp_path / "run", config), start(config, questions)
    assert run_fit(training, run) == "epochs"
    assert [line["lr"] for line in run.metrics()] == [
        [0.025]
    ] * 4  # step 4, of the checkpoint, is before the first validation
    assert len([line for line in caplog.messages if "at half the rate" in line]) == 2
    again = start(config, questions)
    again.load(run)
    assert again.progress[0].halvings == 2
    assert again.progress[0].scheduled_rate(config.train.replace({"epochs": 9})) == 0.025


def test_a_linear_start_attends_without_the_softmax(questions: QuestionSet):
    training = start(SMALL, questions)
    straight = training.straight()
    assert straight is not None
    asked = training.feed(training.train[:, :8])
    _, (weights, _) = training.model(asked, straight)
    assert (weights < 0).any()
    for progress, is_straight in zip(training.progress, (False, True, False), strict=True):
        assert isinstance(progress.schedule, Halving)
        progress.schedule.straight = is_straight
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
    result = judge_restarts(training, data, run)
    errors = [restart["train_error"] for restart in result["restarts"]]
    assert errors[result["best"]] == min(errors)
    kept = load.load_answerer(run).model
    for ours, theirs in zip(parameters(kept), parameters(training.model), strict=True):
        assert torch.equal(ours[0], theirs[result["best"]])
    wrong = answer_all(kept, training.feed, np.arange(len(questions))).wrong
    assert 100 * wrong.mean() == pytest.approx(result["mean_error"])


def test_of_restarts_with_equal_answers_the_first_is_kept(questions: QuestionSet, tmp_path: Path):
    training, run = start(SMALL, questions), RunFolder.create(tmp_path / "run", SMALL)
    with torch.no_grad():
        for tensor in training.model.parameters():
            tensor.copy_(tensor[:1].expand_as(tensor).clone())
    ones = np.ones(len(questions), np.int64)
    sets: dict[str, Any] = {"train": questions, "test": questions, "train_task_of": ones, "test_task_of": ones}
    training.train[:] = training.train[0]  # they had the same questions
    assert judge_restarts(training, Tasks(words=WORDS, **sets), run)["best"] == 0


def test_models_learn(questions: QuestionSet):
    training = start(with_train(SMALL, epochs=60, linear_epochs=10), questions)
    while not training.finished:
        train(training, 1)
    errors = training.history[-1]["train_error"]
    assert training.history[0]["train_error"][0] > 40
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
    training.step(next(training.batches()))
    assert training.steps == 1
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


def test_metrics_are_written_with_each_checkpoint(questions: QuestionSet, tmp_path: Path):
    config = with_train(SMALL, linear_start="no", checkpoint_every="0")
    run, training = RunFolder.create(tmp_path / "run", config), start(config, questions)
    run_fit(training, run, stop=lambda: training.steps == 10)
    assert [line["step"] for line in run.metrics()] == [4, 8]
    assert checkpoint.read_this(run.last).step == 10


def test_an_epoch_that_fewer_epochs_cut_short_has_the_cost_of_its_own_questions(
    questions: QuestionSet, tmp_path: Path
):
    config = with_train(SMALL, linear_start="no", epochs=3, noise=0.0, lr=1e-9)
    run, training = RunFolder.create(tmp_path / "run", config), start(config, questions)
    run_fit(training, run, stop=lambda: training.steps == 10)  # in the third epoch
    again = start(with_train(config, epochs=2), questions)
    again.load(run)
    assert run_fit(again, run) == "epochs"
    costs = [line["train_cost"][0] for line in run.metrics()]
    assert costs[-1] == pytest.approx(costs[0], rel=0.1)  # the weights hardly move


def test_a_restart_that_diverged_within_an_epoch_stays_left_out(questions: QuestionSet, tmp_path: Path):
    config = with_train(SMALL, linear_start="no")
    run, training = RunFolder.create(tmp_path / "run", config), start(config, questions)
    batches = training.batches()
    training.step(next(batches))
    training._sums[0, 1] = math.nan
    training.save(run)
    again = start(config, questions)
    again.load(run)
    assert [each.diverged for each in again.progress] == [each.diverged for each in training.progress]
    assert again.progress[1].diverged is not None
