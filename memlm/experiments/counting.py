"""Runs of models that are counted in one pass over the text. Their folders look like those of trained models."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memlm.config.models import KneserNeyConfig
from memlm.config.run import Config
from memlm.data import dataset
from memlm.data.dataset import TextDataset
from memlm.data.vocabulary.words import Vocabulary
from memlm.evaluation.passport import Passport
from memlm.evaluation.perplexity import token_nats, total
from memlm.experiments.start import new_run
from memlm.experiments.text_run import run_name, score, summarise
from memlm.models.build import build_initialised
from memlm.models.ngram.kneser_ney import KneserNey
from memlm.models.ngram.smoothing import SmoothedNgrams
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.runs.tensorboard import write_result
from memlm.training.interfaces import Observer, Requests
from memlm.training.metrics import sample_of
from memlm.training.observers import results_of


class _Stopped(Exception):  # noqa: N818, it is no error
    """A stop was requested."""


@dataclass(kw_only=True)
class CountedRun:
    """A run, its data and its model, ready to count. `found` is called for each order of n-grams."""

    run: RunFolder
    config: Config
    data: TextDataset
    model: KneserNey
    passports: dict[str, Passport] = field(default_factory=dict)  # at the end: the evaluation, by split
    orders: int
    counted: bool = False
    found: Callable[[int, SmoothedNgrams], None] = lambda order, found: None

    def train(self, observers: Sequence[Observer], requests: Requests) -> dict[str, Any] | None:
        """Count the training split and evaluate. Returns the content of summary.json, or None if stopped.

        Observers are not called. If it is stopped while it counts, nothing is saved.
        """

        def check_stop(done: int, total: int) -> None:
            if requests.stop():
                raise _Stopped

        try:
            self._count(check_stop)
            self.passports = score(self.run, self.data, "cpu", check_stop)
        except _Stopped:
            return None
        summary = summarise(self.run, self.config, self.data, self.passports, best_epoch=1, steps=1)
        summary["finished"] = "counted"
        write_result(self.run.path, self.config, results_of(summary), 1)
        self.run.write_json("summary.json", summary)
        return summary

    def _count(self, check_stop: Callable[[int, int], None]) -> None:
        """Save the model as the best state, after one epoch of one step."""
        began, orders = time.perf_counter(), self.orders
        for order, smoothed in enumerate(self.model.count(self.data.splits["train"].tokens), start=1):
            self.found(order, smoothed)
            check_stop(order, orders)
        seconds = time.perf_counter() - began
        self.counted = True
        nats = {split: token_nats(self.model, self.data.splits[split].tokens) for split in ("train", "valid")}
        figures = {f"{split}_perplexity": total(of_split).perplexity for split, of_split in nats.items()}
        state = {"epoch": 1, "step": 1} | figures
        checkpoint.save(self.run.best, self.model, state | {"sample": sample_of(nats["valid"])})
        rate = {"tokens_per_second": len(nats["train"]) / seconds, "seconds": seconds}
        self.run.write_metrics([state | rate])


@contextmanager
def start(
    config: Config, run_dir: Path | None, *, overwrite: bool, vocabulary: Vocabulary | None = None
) -> Iterator[CountedRun]:
    """A new run."""
    config = dataset.resolved_config(config)
    data = dataset.load_dataset(config.dataset, config.data, vocabulary=vocabulary)
    model = build_initialised(config.model, vocabulary_size=len(data.vocabulary), eos=data.vocabulary.eos, seed=0)
    assert isinstance(model, KneserNey)
    assert isinstance(config.model, KneserNeyConfig)
    facts: dict[str, Any] = {"data_sha256": data.sha256, "device": "cpu"}
    with new_run(run_dir, run_name(config), config, data.vocabulary, overwrite=overwrite, **facts) as run:
        yield CountedRun(run=run, config=config, data=data, model=model, orders=config.model.order)
