"""Where restarts stand that are trained side by side: each has the progress that it would have alone.

To `training.loop.fit` they are one run: its metrics are those of the restart that is best in each epoch,
its best state is that of the best restart.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from memlm.config.training import TrainConfig
from memlm.training.progress import Progress, Totals, finished
from memlm.training.schedule import Annealing

REASONS = ("max_steps", "epochs", "min_lr")  # why training is over: of several, the first one here


@dataclass(kw_only=True)
class Standings:
    """R restarts: their seeds, where `each` stands, and the step at which one diverged, from which on it is left out.

    Restarts whose epoch has fewer steps wait for the others at its end.
    """

    seeds: list[int]
    each: list[Progress]
    diverged: list[int | None]

    @classmethod
    def begin(cls, config: TrainConfig) -> "Standings":
        """Before the first step."""
        seeds = config.seeds
        each = [Progress(annealing=Annealing.from_config(config)) for _ in seeds]
        return cls(seeds=seeds, each=each, diverged=[None] * len(seeds))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Standings":
        """Inverse of `to_dict`; KeyError or TypeError where that is not what the values are."""
        each = [Progress.from_dict(progress) for progress in values["each"]]
        return cls(seeds=list(values["seeds"]), each=each, diverged=list(values["diverged"]))

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @property
    def epoch(self) -> int:
        """Finished epochs of the restart that had most."""
        return max(progress.epoch for progress in self.each)

    @property
    def step(self) -> int:
        """Finished steps of the restart that had most."""
        return max(progress.step for progress in self.each)

    @property
    def totals(self) -> Totals:
        """Of the epoch under way, over all restarts; its steps and seconds are those of the one that had most."""
        return together([progress.totals for progress in self.each])

    @property
    def logged_step(self) -> int:
        """The step of the last point of the curves."""
        return max(progress.logged_step for progress in self.each)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl: of the best restart of each epoch, with the perplexities of all."""
        return [self._line(epoch) for epoch in range(1, self.epoch + 1)]

    @property
    def best_restart(self) -> int | None:
        """The restart of the lowest validation cost so far, the earlier one of two; None before there is one."""
        ranks = [
            (progress.best_cost, progress.best_epoch, restart)
            for restart, progress in enumerate(self.each)
            if progress.best_cost is not None
        ]
        return min(ranks)[2] if ranks else None

    @property
    def best(self) -> dict[str, Any]:
        """What is said of the best state in its checkpoint."""
        restart = self.best_restart
        return {} if restart is None else self.each[restart].best | {"seed": self.seeds[restart]}

    @property
    def best_epoch(self) -> int:
        """The epoch after which the best state was; 0 before there is one."""
        return 0 if self.best_restart is None else self.each[self.best_restart].best_epoch

    @property
    def best_step(self) -> int | None:
        """The step of the best restart at which it was; None before there is one."""
        return None if self.best_restart is None else self.each[self.best_restart].best_step

    @property
    def is_best(self) -> bool:
        """Whether the best restart is now as it was at its best."""
        return self.best_restart is not None and self.each[self.best_restart].is_best

    def active(self, config: TrainConfig) -> list[bool]:
        """Which restarts train on."""
        return [
            at is None and not finished(progress, config)
            for progress, at in zip(self.each, self.diverged, strict=True)
        ]

    def finished(self, config: TrainConfig) -> str:
        """Why training is over; empty while it is not."""
        left = [progress for progress, at in zip(self.each, self.diverged, strict=True) if at is None]
        reasons = {finished(progress, config) for progress in left}
        return "" if "" in reasons else min(reasons, key=REASONS.index)

    def leave_out(self, restart: int, step: int) -> None:
        """A restart diverged at this step: its epoch under way is void."""
        self.diverged[restart] = step
        progress = self.each[restart]
        progress.totals, progress.logged = Totals(), Totals()
        progress.step = step  # wherever that was noticed

    def summary(self) -> dict[str, Any]:
        """Keys seed, of the best restart; restarts, the best validation of each; and its mean and standard deviation.

        A restart that was never validated has none.
        """
        found = [progress.best.get("valid_perplexity") for progress in self.each]
        there = [value for value in found if value is not None and math.isfinite(value)] or [math.inf]
        return {
            "seed": self.best["seed"],
            "restarts": [
                {
                    "seed": seed,
                    "valid_perplexity": value,
                    "best_epoch": progress.best_epoch,
                    "epochs": progress.epoch,
                    "diverged_at_step": at,
                }
                for seed, value, progress, at in zip(self.seeds, found, self.each, self.diverged, strict=True)
            ],
            "valid_perplexity_mean": statistics.fmean(there),
            "valid_perplexity_std": statistics.stdev(there) if len(there) > 1 else 0.0,
        }

    def _line(self, epoch: int) -> dict[str, Any]:
        there = [restart for restart, progress in enumerate(self.each) if progress.epoch >= epoch]
        lines = {restart: self.each[restart].history[epoch - 1] for restart in there}
        best = min(there, key=lambda restart: _or_infinite(lines[restart]["valid_perplexity"]))
        perplexities = {str(seed): self._valid(restart, epoch) for restart, seed in enumerate(self.seeds)}
        return lines[best] | {
            "tokens_per_second": sum(line["tokens_per_second"] for line in lines.values()),
            "seed": self.seeds[best],
            "valid_perplexity_by_seed": perplexities,
        }

    def _valid(self, restart: int, epoch: int) -> float | None:
        """Validation perplexity after an epoch: the last one if it had finished before, none if it had diverged."""
        progress = self.each[restart]
        if progress.epoch < epoch and self.diverged[restart] is not None:
            return None
        perplexity: float = progress.history[min(epoch, progress.epoch) - 1]["valid_perplexity"]
        return perplexity


def _or_infinite(perplexity: float | None) -> float:
    """An infinite one is none in JSON, from which a run goes on."""
    return math.inf if perplexity is None else perplexity


def together(totals: Sequence[Totals]) -> Totals:
    """Sums over restarts; steps and seconds are those of the one that has most."""
    summed = {name: sum(getattr(each, name) for each in totals) for name in asdict(Totals())}
    longest = {name: max(getattr(each, name) for each in totals) for name in ("steps", "seconds")}
    return Totals(**(summed | longest))
