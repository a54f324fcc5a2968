"""Runs of question answering: a model of one task or of all tasks, or a folder of runs with one model per task.

[C] is the code of Sukhbaatar et al. 2015, https://github.com/facebookarchive/MemNN.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memlm.config.run import QAConfig, is_collection
from memlm.data.questions import tasks
from memlm.data.questions.tasks import Tasks
from memlm.data.vocabulary.words import WordList
from memlm.errors import MemlmError
from memlm.evaluation.answers import answer_all
from memlm.evaluation.inputs import Feed
from memlm.evaluation.perplexity import Tick
from memlm.evaluation.plots.pictures import pixels
from memlm.evaluation.plots.story import attention_over_story
from memlm.experiments.start import StartingPoint, new_run, refuse_half_begun
from memlm.inference.ask import ask
from memlm.models.build import build_answerer
from memlm.models.device import choose_device
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.runs.summary import errors_by_task, join_summaries, read_summary, task_folder
from memlm.training.interfaces import Observer, Observers, Requests
from memlm.training.learner import Learner
from memlm.training.loop import train
from memlm.training.observers import TensorBoard
from memlm.training.questions import QuestionLearner


@dataclass(kw_only=True)
class QuestionRun:
    """A run of one task, of all tasks jointly, or of each task on its own, ready to train."""

    run: RunFolder
    config: QAConfig
    numbers: Sequence[int]  # of the tasks
    absent: Sequence[str] = ()  # one line for each task that is missing, with the reason
    init_from: StartingPoint | None = None

    def train(self, observers: Sequence[Observer], requests: Requests) -> dict[str, Any] | None:
        """Train all tasks that are not finished. Returns the content of summary.json, or None if stopped.

        Each task trains under the lock of its own folder, because it may be resumed alone.
        """
        if not is_collection(self.config):
            return _train_model(self.run, self.numbers, observers, requests, self.init_from)
        everyone = Observers(observers)
        for number in self.numbers:
            folder = task_folder(self.run.path, number)
            if _is_done(folder, self.config):
                continue
            with RunFolder(folder).locked():
                run = self._task_run(folder, number)
                if _train_model(run, [number], [everyone], requests, self.init_from) is None:
                    return None
            if everyone.stop and number != self.numbers[-1]:
                return None
        summary = join_summaries([read_summary(task_folder(self.run.path, number)) for number in self.numbers])
        self.run.write_json("summary.json", summary)
        return summary

    def _task_run(self, folder: Path, number: int) -> RunFolder:
        """The run of a task, new or resumed, with the settings of this run that are safe to change."""
        train = self.config.train
        if (folder / "config.toml").exists():
            run = RunFolder.open(folder)
            note_resume(run, {name: getattr(train, name) for name in train.safe_names()})
            return run
        own = dataclasses.replace(self.config, train=train.replace({"task": str(number)}))
        facts: dict[str, Any] = {} if self.init_from is None else {"init_from": self.init_from.fact}
        return RunFolder.create(folder, own, overwrite=True, **facts)


@contextmanager
def start(
    config: QAConfig, run_dir: Path | None, *, overwrite: bool, init_from: StartingPoint | None = None
) -> Iterator[QuestionRun]:
    """A new run. No other process can train in its folder meanwhile."""
    config = config.resolved()
    # What is not there or does not fit is said before a folder is made.
    numbers, absent = tasks.task_numbers(config.dataset, config.train)
    if init_from is not None:
        _check_start(config, numbers, init_from)
    which = "joint" if config.train.joint else f"task-{config.train.task}"
    name = f"{config.dataset}-{which}-{config.train.size}-{config.model.label}"
    with new_run(run_dir, name, config, overwrite=overwrite, init_from=init_from) as run:
        yield QuestionRun(run=run, config=config, numbers=numbers, absent=absent, init_from=init_from)


def _check_start(config: QAConfig, numbers: Sequence[int], init_from: StartingPoint) -> None:
    """Refuse questions with words that the run to start from does not know, and a model with other settings."""
    init_from.check_answers()
    words, memory_size = init_from.vocabulary, config.model.memory_size
    tasks.read_tasks(config.dataset, numbers, size=config.train.size, memory_size=memory_size, words=words)
    model = build_answerer(config, len(words), restarts=1)
    init_from.fill(lambda state: checkpoint.fill(model, state))


@contextmanager
def resume(run: RunFolder, changes: Mapping[str, Any]) -> Iterator[QuestionRun]:
    """A run that resumes, with `changes` to settings that are safe to change."""
    with run.locked():
        before = run.manifest().question_config.train.epochs
        if run.read_json("summary.json") and changes.get("epochs", before) <= before:
            raise MemlmError(f"{run.path} has finished: give more --epochs, or `memlm eval {run.path}`")
        note_resume(run, changes)
        yield opened(run)


def opened(run: RunFolder) -> QuestionRun:
    """An existing run, ready to train further."""
    config = run.manifest().question_config
    numbers, absent = tasks.task_numbers(config.dataset, config.train)
    point = None
    lasts = [RunFolder(task_folder(run.path, number)).last for number in numbers]
    if is_collection(config) and not all(map(checkpoint.exists, lasts)):
        point = StartingPoint.noted(run)  # for the tasks without a checkpoint
    return QuestionRun(run=run, config=config, numbers=numbers, absent=absent, init_from=point)


def note_resume(run: RunFolder, changes: Mapping[str, Any]) -> None:
    """Change settings of a run that resumes, and record in env.json that it does."""
    config = run.manifest().question_config
    config = dataclasses.replace(config, train=config.train.replace(changes))
    run.note_resume(device=str(choose_device(config.train.device)))
    run.write_config(config)


def _is_done(folder: Path, config: QAConfig) -> bool:
    """Whether the run of a task has finished with at least as many epochs as these settings."""
    done = (folder / "summary.json").exists()
    return done and RunFolder.open(folder).manifest().question_config.train.epochs >= config.train.epochs


def _train_model(
    run: RunFolder,
    numbers: Sequence[int],
    observers: Sequence[Observer],
    requests: Requests,
    init_from: StartingPoint | None,
) -> dict[str, Any] | None:
    """Train the model of a new or stopped run, keep the best restart, and return the summary; None if stopped."""
    config, data = _questions(run, numbers, init_from)
    learner = _learner(run, config, data)
    if init_from is not None and not checkpoint.exists(run.last):
        init_from.fill(learner.start_from)

    def conclude(why: str, tick: Tick) -> dict[str, Any]:
        return _about(config, learner) | judge_restarts(learner, data, run)

    board = TensorBoard(config)
    everyone = Observers([board, StoryPictures(board, data), *observers])
    return train(learner, run, everyone, requests, conclude)


def _questions(run: RunFolder, numbers: Sequence[int], init_from: StartingPoint | None) -> tuple[QAConfig, Tasks]:
    """The questions of a run, and its settings with a memory no larger than the longest story.

    Raises MemlmError if the questions have changed since the run began.
    """
    config, words = run.manifest().question_config, _words(run, init_from)
    size, memory_size = config.train.size, config.model.memory_size
    data = tasks.read_tasks(config.dataset, numbers, size=size, memory_size=memory_size, words=words)
    longest = data.train.stories.shape[1]
    if words is None and longest < memory_size:  # as in [C], no slot that no story of training fills
        config = dataclasses.replace(config, model=config.model.replace({"memory_size": longest}))
    if (data.train.answers < 0).any():
        raise MemlmError(
            f"an answer to a question of {config.dataset} is not in the vocabulary of the run to start from"
        )
    began_with = run.environment().setdefault("data_sha256", data.sha256)
    if began_with != data.sha256:
        raise MemlmError(f"the questions of {config.dataset} have changed since {run.path} began: restore them")
    run.write_json("env.json", run.environment() | {"data_sha256": data.sha256})
    run.write_settings(config, data.words)
    return config, data


def _words(run: RunFolder, init_from: StartingPoint | None) -> WordList | None:
    """The vocabulary of a run that starts from the weights of another; None if it comes from the questions."""
    if init_from is not None:
        return init_from.vocabulary
    if not run.environment().get("init_from"):
        return None
    if not checkpoint.exists(run.last):
        refuse_half_begun(run)
    return run.manifest().words


def _learner(run: RunFolder, config: QAConfig, data: Tasks) -> QuestionLearner:
    model = build_answerer(config, len(data.words), restarts=config.train.restarts)
    model.initialise(config.train.seed)
    device = choose_device(config.train.device)
    learner = QuestionLearner(model, config.train, data.train, data.train_task_of, device)
    if checkpoint.exists(run.last):
        learner.load(run)
    return learner


def _about(config: QAConfig, learner: QuestionLearner) -> dict[str, Any]:
    return {
        "model": config.model.name,
        "label": config.model.label,
        "dataset": config.dataset,
        "size": config.train.size,
        "joint": config.train.joint,
        "parameters": learner.model.parameter_count,
        "epochs": learner.epoch,
        "steps": learner.steps,
        "seconds": sum(epoch["seconds"] for epoch in learner.history),
        "linear_epochs": learner.linear_epochs,
    }


def judge_restarts(learner: QuestionLearner, data: Tasks, run: RunFolder) -> dict[str, Any]:
    """Choose the restart with the lowest training error, save it as `best`, and return the results.

    The training loss decides between equal training errors.
    """
    model, config = learner.model, learner.config
    train = answer_all(model, learner.feed, learner.train)
    test = answer_all(model, Feed(data.test, model, device=learner.device), np.arange(len(data.test)))
    train_error, train_cost = train.wrong.mean(axis=1), np.nan_to_num(train.nats.mean(axis=1), nan=np.inf)
    best = int(np.lexsort((train_cost, train_error))[0])
    if not np.isfinite(train_cost[best]):
        raise MemlmError("no restart has a finite loss: try a lower --lr or --clip")
    checkpoint.save(run.best, learner.extract(best), {"step": learner.steps, "seed": config.seeds[best]})
    return {
        **errors_by_task(test.wrong[best], data.test_task_of),
        "best": best,
        "restarts": [
            {
                "seed": config.seeds[r],
                "train_error": 100 * float(train_error[r]),
                "train_cost": float(train_cost[r]),
                "test_error": 100 * float(test.wrong[r].mean()),
                "tasks": errors_by_task(test.wrong[r], data.test_task_of)["tasks"],
            }
            for r in range(config.restarts)
        ],
    }


class StoryPictures(Observer):
    """At the end, one story per task as a picture in TensorBoard, with the attention of the best restart."""

    def __init__(self, board: TensorBoard, data: Tasks) -> None:
        self.board, self.data = board, data

    def concluded(self, learner: Learner, summary: dict[str, Any]) -> None:
        """Draw the stories."""
        assert isinstance(learner, QuestionLearner)
        assert self.board.writer is not None
        model = learner.extract(summary["best"])
        for task, question in self.data.examples.items():
            answer = ask(model, self.data.words, question)
            if answer.attention is not None:
                self.board.writer.add_image(f"story/task_{task}", pixels(attention_over_story(answer)), learner.epoch)
