"""Runs of language models that are trained: from settings and a text to summary.json."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from memlm.config.models import MemN2NConfig
from memlm.config.run import Config
from memlm.data import dataset
from memlm.data.corpus.reading import Tokens, id_counts
from memlm.data.dataset import TextDataset
from memlm.data.vocabulary.words import Vocabulary
from memlm.errors import MemlmError
from memlm.evaluation import records
from memlm.evaluation.passport import Passport
from memlm.evaluation.perplexity import Tick
from memlm.evaluation.wording import SCORED_SPLITS
from memlm.experiments.start import StartingPoint, new_run, refuse_half_begun
from memlm.inference import evaluation as scores
from memlm.inference.load import load_text
from memlm.models.build import build_initialised, build_stacked
from memlm.models.device import choose_device
from memlm.models.layers import cutoffs
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import Observer, Observers, Requests
from memlm.training.loop import train
from memlm.training.metrics import restarts_summary
from memlm.training.observers import AttentionPictures, TensorBoard
from memlm.training.text import SingleLearner, StackedLearner, TextLearner

RESULTS = ("perplexity", "word_perplexity", "bits_per_character")  # from a passport to summary.json


@dataclass(kw_only=True)
class TextRun:
    """A run, its data and its learner, ready to train."""

    run: RunFolder
    config: Config
    data: TextDataset
    learner: TextLearner
    passports: dict[str, Passport] = field(
        default_factory=dict
    )  # at the end: the evaluation of the best state, by split

    def train(self, observers: Sequence[Observer], requests: Requests) -> dict[str, Any] | None:
        """Train to the end and evaluate the best state. Returns the content of summary.json, or None if stopped."""
        board = TensorBoard(self.config)
        everyone = Observers([board, AttentionPictures(board), *observers])
        return train(self.learner, self.run, everyone, requests, self._conclude)

    def _conclude(self, why: str, tick: Tick) -> dict[str, Any]:
        progress, best = self.learner.progress, self.learner.best
        assert best is not None
        self.passports = score(self.run, self.data, self.learner.device.type, tick)
        summary = summarise(
            self.run, self.config, self.data, self.passports, best_epoch=best.best_epoch, steps=self.learner.steps
        )
        restarts = restarts_summary(progress, best) if len(progress) > 1 else {}
        return summary | {"finished": why} | restarts


def score(run: RunFolder, data: TextDataset, device: str, tick: Tick) -> dict[str, Passport]:
    """Evaluate the best state of a run on each split, and keep the evaluations with the run."""
    trained = load_text(run.path, device=device)
    passports = {}
    for split in SCORED_SPLITS:
        evaluation = scores.score(trained, data, split, tick=tick)
        records.record(run, evaluation)
        passports[split] = evaluation.passport
    return passports


def summarise(
    run: RunFolder,
    config: Config,
    data: TextDataset,
    passports: Mapping[str, Passport],
    *,
    best_epoch: int,
    steps: int,
) -> dict[str, Any]:
    """The part of summary.json that all runs of language models have."""
    figures = {f"{split}_{name}": made[name] for split, made in passports.items() for name in RESULTS}
    history = run.metrics()
    return {
        "model": config.model.name,
        "label": config.model.label,
        "tokenizer": data.vocabulary.tokenizer,
        "dataset": data.name,
        "parameters": passports["test"]["parameters"],
        "protocol": "exact",
        **{name: value for name, value in figures.items() if value is not None},
        "best_epoch": best_epoch,
        "train_perplexity": history[best_epoch - 1]["train_perplexity"],
        "epochs": len(history),
        "steps": steps,
        "seconds": sum(epoch["seconds"] for epoch in history),
    }


@contextmanager
def start(
    config: Config,
    run_dir: Path | None,
    *,
    overwrite: bool,
    vocabulary: Vocabulary | None = None,
    init_from: StartingPoint | None = None,
) -> Iterator[TextRun]:
    """A new run. No other process can train in its folder meanwhile."""
    device = choose_device(config.train.device)
    config = dataset.resolved_config(config)
    data = dataset.load_dataset(config.dataset, config.data, vocabulary=vocabulary)
    check_fits(config, data.splits["train"].tokens)
    config = cutoffs.resolved(config, lambda: id_counts(data.splits["train"].tokens, len(data.vocabulary)), device)
    learner = _learner(config, data, device)
    if init_from is not None:
        init_from.fill(learner.start_from)
    name, facts = run_name(config), {"data_sha256": data.sha256} | _chosen(learner)
    with new_run(run_dir, name, config, data.vocabulary, overwrite=overwrite, init_from=init_from, **facts) as run:
        yield TextRun(run=run, config=config, data=data, learner=learner)


@contextmanager
def resume(run: RunFolder, changes: Mapping[str, Any]) -> Iterator[TextRun]:
    """A run that resumes from its checkpoint `last`, or starts again if it has none yet."""
    with run.locked():
        manifest = run.manifest()
        config = manifest.text_config
        if not config.model.trained:
            raise MemlmError(
                f"{run.path} is of {config.model.name}, which is counted in one go: there is nothing to resume; "
                f"to count again, give --run-dir {run.path} --overwrite"
            )
        config = dataclasses.replace(config, train=config.train.replace(changes))
        device = choose_device(config.train.device)
        data = dataset.load_dataset(config.dataset, config.data, vocabulary=manifest.vocabulary)
        manifest.check_text(config.dataset, data.sha256)
        learner = _learner(config, data, device)
        if checkpoint.exists(run.last):
            learner.load(run)
        else:
            refuse_half_begun(run)
        if (why := learner.finished) and run.read_json("summary.json"):
            raise MemlmError(
                f"{run.path} has finished ({why}): give more --epochs or --max-steps, or `memlm eval {run.path}`"
            )
        run.note_resume(**_chosen(learner))
        run.write_config(config)
        yield TextRun(run=run, config=config, data=data, learner=learner)


def check_fits(config: Config, train_tokens: Tokens) -> None:
    """Refuse a memory that is larger than the text it is trained on."""
    size = getattr(config.model, "memory_size", 0)
    if size >= len(train_tokens):
        raise MemlmError(
            f"memory_size is {size}, but the training split of {config.dataset} has only {len(train_tokens)} tokens: "
            f"it must be smaller"
        )


def _learner(config: Config, data: TextDataset, device: torch.device) -> TextLearner:
    sizes = {"vocabulary_size": len(data.vocabulary), "eos": data.vocabulary.eos}
    texts = {split: data.splits[split].tokens for split in ("train", "valid")}
    if config.train.restarts > 1:
        assert isinstance(config.model, MemN2NConfig)  # the settings refuse others
        size, seed = len(data.vocabulary), config.train.seed
        model = build_stacked(config.model, vocabulary_size=size, seed=seed, restarts=config.train.restarts)
        return StackedLearner(model, config.train, device, **texts)
    return SingleLearner(
        build_initialised(config.model, **sizes, seed=config.train.seed), config.train, device, **texts
    )


def run_name(config: Config) -> str:
    """The name of a folder for a run of a language model."""
    return f"{Path(config.dataset).name}-{config.model.label}"


def _chosen(learner: TextLearner) -> dict[str, Any]:
    """What the settings leave to the machine."""
    return {"device": str(learner.device), "precision": str(learner.head.precision).removeprefix("torch.")}
