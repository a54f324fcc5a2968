"""Runs of every kind of model: the verbs `memlm.train` and `memlm.resume`."""

import signal
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from memlm.config.data import DataConfig
from memlm.config.recipes import DEFAULT_RECIPE, RECIPES, default_recipe, recipe
from memlm.config.run import DATASETS_OF_QUESTIONS, AnyConfig, Config, QAConfig, changed
from memlm.data.texts import Texts
from memlm.errors import MemlmError
from memlm.experiments import counting, question_run, terminal, text_run
from memlm.experiments.signals import SignalRequests
from memlm.experiments.start import StartingPoint
from memlm.experiments.terminal import Experiment
from memlm.inference.load import load
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import Observer, Observers


def start(
    config: AnyConfig,
    run_dir: Path | None = None,
    *,
    overwrite: bool = False,
    texts: Texts | None = None,
    init_from: StartingPoint | None = None,
) -> AbstractContextManager[Experiment]:
    """A new run, ready to train. No other process can train in its folder meanwhile."""
    if isinstance(config, QAConfig):
        return question_run.start(config, run_dir, overwrite=overwrite, init_from=init_from)
    vocabulary = None if texts is None else texts.vocabulary
    if vocabulary is not None and config.data.replace({"split": None}) not in (DataConfig(), DataConfig(min_count=1)):
        raise MemlmError("texts of ids have a vocabulary of their own: leave out settings of the text")
    if init_from is not None:
        config, vocabulary = init_from.settings_for(config), init_from.text_vocabulary
    if not config.model.trained:
        return counting.start(config, run_dir, overwrite=overwrite, vocabulary=vocabulary)
    return text_run.start(config, run_dir, overwrite=overwrite, vocabulary=vocabulary, init_from=init_from)


def resume_run(path: Path, changes: Mapping[str, Any]) -> AbstractContextManager[Experiment]:
    """A run that was stopped or killed, ready to resume, with `changes` to settings that are safe to change."""
    run = RunFolder.open(path)
    return question_run.resume(run, changes) if run.manifest().answers_questions else text_run.resume(run, changes)


def train(
    what: str | Path | AnyConfig,
    *,
    dataset: str | Path | Texts | None = None,
    run_dir: str | Path | None = None,
    overwrite: bool = False,
    init_from: str | Path | None = None,
    quiet: bool = False,
    callbacks: Sequence[Observer] = (),
    **settings: Any,
) -> Any:
    """Train a model and load its best state.

    `what` is a recipe (`memlm.recipes()`), a model ("memn2n", "lstm", ...), the folder of a run with the settings to
    use, or a Config. `dataset` is a name from `memlm data list`, a folder, a file, or `memlm.texts(...)`. `settings`
    are those of `memlm train --help`. `init_from` is a run to start from: its weights and its vocabulary.
    `callbacks` are observers (`memlm.Observer`). Ctrl-C saves the run and raises KeyboardInterrupt; `memlm.resume`
    continues it. The result is None if an observer stopped a run that has no model to load yet. Raises MemlmError for
    settings, data or observers that do not fit.

    >>> model = memlm.train("memn2n", dataset="corpus", hops=2, memory_size=8, units=6, epochs=1, quiet=True)
    >>> model.perplexity("a0 b0 c0 d") > 1
    True
    """
    texts = dataset if isinstance(dataset, Texts) else None
    name = str(texts.place) if texts else None if dataset is None else str(dataset)
    point = None if init_from is None else StartingPoint.of(Path(init_from))
    if isinstance(settings.get("task"), int):
        settings["task"] = str(settings["task"])
    config = changed(_settings(what, name, settings), name, settings)
    place = None if run_dir is None else Path(run_dir)
    return _finish(start(config, place, overwrite=overwrite, texts=texts, init_from=point), quiet, callbacks)


def resume(run: str | Path, *, quiet: bool = False, callbacks: Sequence[Observer] = (), **changes: Any) -> Any:
    """Resume a run that was stopped or killed, exactly where it was, and load its best state.

    `changes` are new values of settings that are safe to change, such as `epochs`. Raises MemlmError for others.

    >>> memlm.resume("runs/mine", epochs=2, quiet=True)
    <memlm model memn2n-2x8, runs/mine, best, step 14>
    """
    path = Path(run)
    safe = RunFolder.open(path).manifest().config.train.safe_names()
    for name in changes:
        if name not in safe:
            allowed = ", ".join(safe)
            raise MemlmError(f"{name} can't be changed when a run is resumed: only {allowed} can")
    return _finish(resume_run(path, changes), quiet, callbacks)


def _settings(what: str | Path | AnyConfig, dataset: str | None, settings: Mapping[str, Any]) -> AnyConfig:
    """The settings that `what` names, before changes.

    `lstm` names a recipe and a model. It is the model if the dataset is a text.
    """
    if isinstance(what, Config | QAConfig):
        return what
    if (Path(what) / "config.toml").is_file():
        return RunFolder.open(Path(what)).manifest().config
    name, size = str(what), settings.get("size", "1k")
    of_text = dataset is not None and dataset not in DATASETS_OF_QUESTIONS
    is_model = name in DEFAULT_RECIPE and (of_text or name not in RECIPES)
    joint = settings.get("joint") is True
    found: AnyConfig = default_recipe(name, size, joint=joint) if is_model else recipe(name, size)
    return found


def _finish(opened: AbstractContextManager[Experiment], quiet: bool, callbacks: Sequence[Observer]) -> Any:
    observers = Observers(callbacks)  # refuses other objects before a folder is made
    with SignalRequests(in_python=True) as requests, opened as experiment:
        requests.heed_stops()
        if quiet:
            finished = experiment.train([observers], requests) is not None
        else:
            finished = terminal.train(experiment, [observers], requests) is not None
    if requests.exit_status == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    if requests.exit_status:
        raise SystemExit(requests.exit_status)
    run, config = experiment.run, experiment.config
    if finished or (isinstance(config, Config) and checkpoint.exists(run.best)):
        return load(run.path)
    single = isinstance(config, Config) and config.train.restarts == 1
    return load(run.path, checkpoint="last") if single else None
