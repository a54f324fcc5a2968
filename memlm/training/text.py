"""Language models in training: one model, or restarts of it side by side as one computation.

R restarts, B rows of each, L targets in a row, M words that a row's windows cover, T tokens of the text.
"""

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from memlm import jsontext
from memlm.config.training import TrainConfig
from memlm.data.batches import EMPTY, NOTHING, Batch, Span, gather, gather_together, plan_epoch
from memlm.data.corpus.reading import Tokens
from memlm.evaluation.inputs import to_tensors
from memlm.evaluation.perplexity import Tick, token_nats, total
from memlm.kernels.cuda_graph import CapturedUpdate, Update
from memlm.models.base import LanguageModel, State
from memlm.models.device import choose_precision
from memlm.models.layers.head import TrainableHead
from memlm.models.memn2n import MemN2N
from memlm.models.stacked import StackedMemN2N
from memlm.runs import checkpoint
from memlm.training import metrics
from memlm.training.learner import Learner, norms_of_restarts
from memlm.training.optim import ClippedSGD
from memlm.training.progress import Progress, Totals
from memlm.training.schedule import Annealing

NO_TOKENS: Tokens = np.empty(0, np.int32)


class TextLearner(Learner):
    """The common part of a single language model and of several restarts. `train` and `valid` are texts (T,)."""

    sums = ("nats", "grad_norm", "clipped_norm", "clipped")
    model: LanguageModel
    config: TrainConfig

    def __init__(
        self,
        model: LanguageModel,
        config: TrainConfig,
        device: torch.device,
        *,
        over: Any,
        train: Tokens = NO_TOKENS,
        valid: Tokens = NO_TOKENS,
    ) -> None:
        super().__init__(config, device, lambda: Annealing.begin(config))
        assert isinstance(model.head, TrainableHead)  # the others have no gradient
        self.model = model.to(device)
        self.head = model.head
        self.head.precision = choose_precision(config.precision, device)
        self.optimizer = ClippedSGD(model.parameters(), clip=config.clip, over=over, restarts=config.restarts)
        self.train, self.valid = train, valid
        captured = device.type == "cuda" and not self.head.waits_for_device
        self._update: Update = CapturedUpdate(self._updated) if captured else self._updated
        self.set_rates()

    @abstractmethod
    def _updated(self, inputs: Tensor, targets: Tensor, carried: State) -> State:
        """The part of a step that runs on the device: updates the weights and the sums, returns the carried state."""

    @abstractmethod
    def _gathered(self, plans: Sequence[Sequence[Span]]) -> Iterator[Batch]:
        """The remaining batches of an epoch, from one plan per restart."""

    def batches(self) -> Iterator[Batch]:
        """The remaining batches of the current epoch."""
        if not self.steps_done:
            self.start_epoch()
        self.model.train()
        self.set_rates()
        plans = [
            plan_epoch(dataclasses.replace(self.config, restarts=1, seed=each.seed), len(self.train), each.epoch)
            for each in self.progress
        ]
        self._lengths = [len(plan) for plan in plans]
        self.steps_in_epoch = max(self._lengths)
        self.start_clock()
        return self._gathered(plans)

    def start_epoch(self) -> None:
        """Prepare the first step of an epoch."""
        self._sums.zero_()

    @property
    def epoch_is_whole(self) -> bool:
        """Whether each restart that trains has had all steps of the current epoch."""
        done = [progress.totals.steps for progress in self.progress]
        return all(steps in (0, length) for steps, length in zip(done, self._lengths, strict=True))

    def _add(self, nats: Tensor, norms: Tensor) -> Tensor:
        """Add the nats and gradient norms of a step, () or (R,), to the sums. Returns which sums are finite, (R,)."""
        clipped = norms.clamp(max=self.config.clip)
        step = torch.stack([nats, norms, clipped, (norms > clipped).to(norms.dtype)])
        self._sums[:4] += step.view(4, -1)
        finite = self._sums[:2].sum(0).isfinite()  # once they are not, they never are again
        self._sums[4] += finite
        return finite

    def wants_point(self) -> bool:
        """Every `log_every` steps of the epoch."""
        return self.steps_done % self.config.log_every == 0

    def point(self) -> tuple[Totals, dict[str, float]] | None:
        """Totals over the restarts, and means of their metrics. Tokens per second are the sum over the restarts."""
        self.settle()
        if self.steps == self.logged_step:  # reported already: the other restarts catch up
            return None
        recents, figures = [Totals()], []
        for progress, norm in zip(self.progress, self.parameter_norms(), strict=True):
            recent = progress.totals.since(progress.logged)
            if recent.steps:
                progress.logged = dataclasses.replace(progress.totals)
                recents.append(recent)
                figures.append(
                    metrics.step_figures(recent, lr=progress.scheduled_rate(self.config), parameter_norm=norm)
                )
        if not figures:
            return None
        recent = metrics.together(recents)
        means = {name: sum(each[name] for each in figures) / len(figures) for name in figures[0]}
        return recent, means | {"tokens_per_second": recent.targets / recent.seconds}

    def validate(self, tick: Tick = lambda done, total: None) -> bool:
        """Evaluate the validation text (T,) and end the epoch of each restart that trained."""
        nats = np.atleast_2d(token_nats(self.model, self.valid, tick=tick))
        before = self.best_restart, self.best and self.best.best_step
        norms, figures = self.parameter_norms(), {}
        for restart, progress in enumerate(self.progress):
            if not progress.totals.steps:
                continue
            if not math.isfinite(total(nats[restart]).nats):
                self.drop(restart, "the validation loss", progress.step)
                continue
            rate = progress.scheduled_rate(self.config)
            figures[restart] = metrics.step_figures(progress.totals, lr=rate, parameter_norm=norms[restart])
        self.settle()  # the time of validation
        for restart, own in figures.items():
            progress, score = self.progress[restart], total(nats[restart])
            line = metrics.epoch_metrics(progress, own, valid_perplexity=score.perplexity)
            about = {key: line[key] for key in ("epoch", "step", "valid_perplexity")}
            about |= {"sample": metrics.sample_of(nats[restart])}
            progress.end_epoch(self.config, line, score.nats_per_token, about)
        return before != (self.best_restart, self.best and self.best.best_step)

    def line(self, epoch: int) -> dict[str, Any]:
        """The line of metrics.jsonl of epoch 1, 2, ..."""
        if len(self.progress) == 1:
            return self.progress[0].history[epoch - 1]
        return metrics.line_of_restarts(self.progress, epoch)

    def points(self, line: Mapping[str, Any]) -> dict[str, float]:
        """A line of metrics.jsonl as points for TensorBoard."""
        return metrics.points(line)

    def extract(self) -> LanguageModel:
        """The model."""
        return self.model


class SingleLearner(TextLearner):
    """One language model."""

    def __init__(self, model: LanguageModel, config: TrainConfig, device: torch.device, **texts: Tokens) -> None:
        super().__init__(model, config, device, over="model", **texts)
        self.carried: State = None
        torch.manual_seed(config.seed)  # dropout

    def start_epoch(self) -> None:
        """Prepare the first step of an epoch, which starts from a fresh state."""
        super().start_epoch()
        self.carried = None

    def _gathered(self, plans: Sequence[Sequence[Span]]) -> Iterator[Batch]:
        (plan,) = plans
        return (gather(self.train, span, self.model.context_size) for span in plan[self.steps_done :])

    def step(self, batch: Batch) -> None:
        """One update on the summed loss of a batch."""
        inputs, targets = to_tensors(batch, self.device)
        self.carried = self._update(inputs, targets, self.carried)
        (progress,) = self.progress
        progress.step += 1
        progress.totals.steps += 1
        progress.totals.targets += targets.numel()

    def _updated(self, inputs: Tensor, targets: Tensor, carried: State) -> State:
        hidden, state = self.model(inputs, carried)
        rows = hidden.flatten(0, 1)
        nats, grad = self.head.backward(rows.detach(), targets.flatten())
        rows.backward(grad)
        norm = self.optimizer.norms()
        self.optimizer.step(norm)
        self._add(nats.sum(), norm)
        return None if state is None else tuple(tensor.detach() for tensor in state)

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The progress; as tensors the carried state, and the random generators of dropout."""
        tensors = {"generator": torch.get_rng_state()}
        if self.device.type == "cuda":
            tensors["generator.cuda"] = torch.cuda.get_rng_state(self.device)
        tensors |= {f"carried.{i}": tensor.contiguous() for i, tensor in enumerate(self.carried or ())}
        return {"progress": to_dict(self.progress[0])}, tensors

    def restore(self, values: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        self.progress = [from_dict(values["progress"], self.config.seed)]
        torch.set_rng_state(tensors.pop("generator"))
        cuda = tensors.pop("generator.cuda", None)
        if cuda is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(cuda, self.device)
        self.carried = tuple(tensors[name].to(self.device) for name in sorted(tensors)) or None

    def start_from(self, state: checkpoint.Checkpoint) -> None:
        """Begin with the weights of a checkpoint."""
        checkpoint.fill(self.model, state)

    def parameter_norms(self) -> list[float]:
        """The l2 norm of all parameters together."""
        norms = torch._foreach_norm([p.detach() for p in self.model.parameters()])
        return [float(torch.linalg.vector_norm(torch.stack(list(norms))))]


class StackedLearner(TextLearner):
    """Restarts of a memory network, with consecutive seeds, as one computation.

    Each restart gives the same model as training alone with its seed: it has its own initial weights, order of the
    text, clipping, schedule and end. A restart whose epoch has fewer steps waits for the others at its end.
    """

    model: StackedMemN2N

    def __init__(self, model: StackedMemN2N, config: TrainConfig, device: torch.device, **texts: Tokens) -> None:
        super().__init__(model, config, device, over="restart", **texts)
        self._alone = MemN2N(model.config, model.vocabulary_size).to(device)

    def _gathered(self, plans: Sequence[Sequence[Span]]) -> Iterator[Batch]:
        """Batches of one shape. A restart that waits, or no longer trains, has no targets in them."""
        config = self.config
        length = 1 if config.sampling == "windows" else config.chunk_length
        while True:
            spans = [
                plan[each.totals.steps] if each.trains(config) and each.totals.steps < len(plan) else NOTHING
                for plan, each in zip(plans, self.progress, strict=True)
            ]
            if not any(span.length for span in spans):
                return
            rows = config.batch_size // length
            yield gather_together(self.train, spans, self.model.context_size, rows=rows, length=length)

    def step(self, batch: Batch) -> None:
        """One update of each restart that has targets in the batch, on their summed loss."""
        inputs, targets = to_tensors(batch, self.device)
        self._update(inputs, targets.flatten(1), None)
        counts = (batch.targets != EMPTY).sum(axis=(1, 2)).tolist()
        for progress, count in zip(self.progress, counts, strict=True):
            if count:
                progress.step += 1
                progress.totals.steps += 1
                progress.totals.targets += count

    def _updated(self, inputs: Tensor, targets: Tensor, carried: State) -> State:
        """Inputs are (R, B, M), targets (R, B L). Restarts do not influence each other."""
        hidden, _ = self.model(inputs)
        rows = hidden.flatten(1, 2)
        there = targets >= 0
        own = there.unsqueeze(2)
        nats, grad = self.head.backward(torch.where(own, rows.detach(), 0), targets.clamp_min(0))
        rows.backward(torch.where(own, grad, 0))
        norms = self.optimizer.norms()
        finite = self._add(torch.where(there, nats, 0).sum(1), norms)
        self.optimizer.step(norms, where=finite)
        return None

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The progress of each restart."""
        standings = {
            "seeds": [progress.seed for progress in self.progress],
            "each": [to_dict(progress) for progress in self.progress],
            "diverged": [progress.diverged for progress in self.progress],
        }
        return {"standings": standings}, {}

    def restore(self, values: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        standings = values["standings"]
        parts = zip(standings["each"], standings["seeds"], standings["diverged"], strict=True)
        self.progress = [dataclasses.replace(from_dict(each, seed), diverged=at) for each, seed, at in parts]

    def extract(self) -> MemN2N:
        """The model of the best restart, with its current weights."""
        best = self.best_restart
        self.model.extract(0 if best is None else best, self._alone)
        return self._alone

    def start_from(self, state: checkpoint.Checkpoint) -> None:
        """Begin every restart with the weights of a checkpoint of a single model."""
        checkpoint.fill(self._alone, state)
        with torch.no_grad():
            for ours, theirs in zip(self.model.parameters(), self._alone.parameters(), strict=True):
                ours.copy_(theirs.expand_as(ours))

    def parameter_norms(self) -> list[float]:
        """The l2 norm of all parameters of each restart together."""
        return norms_of_restarts(self.model)


def to_dict(progress: Progress) -> dict[str, Any]:
    """The progress in the format of checkpoints, which is that of the first release."""
    values = dataclasses.asdict(progress)
    for totals in (values["totals"], values["logged"]):
        del totals["wrong"]
    del values["seed"], values["diverged"]
    return {"annealing": values.pop("schedule")} | values


def from_dict(values: Mapping[str, Any], seed: int) -> Progress:
    """Inverse of `to_dict`."""
    values = dict(values)
    schedule = jsontext.as_dataclass(Annealing, values.pop("annealing"))
    return Progress.from_dict(values | {"seed": seed, "schedule": schedule})
