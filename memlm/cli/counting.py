"""A model that is counted in one pass over the text, at the terminal: the same run folder as one that is trained."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memlm.cli.session import conclude, created_run, say_text
from memlm.cli.show.training import Display
from memlm.config.run import Config
from memlm.data import dataset
from memlm.evaluation.perplexity import token_nats, total
from memlm.models.build import build
from memlm.models.ngram.kneser_ney import KneserNey
from memlm.models.ngram.smoothing import Smoothed
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import Requests
from memlm.training.metrics import sample_of

HEADER = f"{'order':>5} {'n-grams':>12} {'D1':>6} {'D2':>6} {'D3+':>6}"


@dataclasses.dataclass(kw_only=True)
class CountingSession:
    """A run, its data and its model, ready to count."""

    run: RunFolder
    config: Config
    data: dataset.TextDataset
    model: KneserNey

    def train(self, requests: Requests) -> None:
        """Count the training split, score, and write what a finished run holds; if stopped, nothing is kept."""
        with Display() as display:
            where = f"{len(self.data.splits['train'].tokens):,} tokens; run {self.run.path}"
            display.say(f"{self.config.model.label} on {self.data.name}: counting {where}")
            say_text(display, self.config, self.data)
            began = time.perf_counter()
            if not self._count(display, requests):
                display.say(f"stopped; nothing is kept. To count anew, give --run-dir {self.run.path} --overwrite")
                return
            display.say("counted; scoring the training and the validation split")
            self._keep(time.perf_counter() - began)
            if not conclude(
                self.run, self.config, self.data, display, requests, best_epoch=1, steps=1, why="counted", device="cpu"
            ):
                display.say(f"stopped before all was scored: `memlm eval {self.run.path}` scores it")

    def _count(self, display: Display, requests: Requests) -> bool:
        """Whether it came to the highest order before it was stopped."""
        display.say(HEADER)
        for order, found in enumerate(self.model.count(self.data.splits["train"].tokens), start=1):
            display.say(_line(order, found))
            if requests.stop():
                return False
        return True

    def _keep(self, seconds: float) -> None:
        """The model as the best state, after one epoch of one step that took this long."""
        nats = {split: token_nats(self.model, self.data.splits[split].tokens) for split in ("train", "valid")}
        figures = {f"{split}_perplexity": total(of_split).perplexity for split, of_split in nats.items()}
        state = {"epoch": 1, "step": 1} | figures
        checkpoint.save(self.run.best, self.model, state | {"sample": sample_of(nats["valid"])})
        rate = {"tokens_per_second": len(nats["train"]) / seconds, "seconds": seconds}
        self.run.write_metrics([state | rate])


@contextmanager
def start(config: Config, run_dir: Path | None, *, overwrite: bool) -> Iterator[CountingSession]:
    """A session of a new run."""
    config = dataset.resolved(config)
    data = dataset.load(config.dataset, config.data)
    model = build(config.model, vocabulary_size=len(data.vocabulary), eos=data.vocabulary.eos)
    assert isinstance(model, KneserNey)
    with created_run(config, data, run_dir, overwrite=overwrite, device="cpu") as run:
        yield CountingSession(run=run, config=config, data=data, model=model)


def _line(order: int, found: Smoothed) -> str:
    discounts = " ".join(f"{discount:6.3f}" for discount in found.discounts[1:])
    return f"{order:5} {len(found.keys):12,} {discounts}{'' if found.estimated else '  (too few counts to estimate)'}"
