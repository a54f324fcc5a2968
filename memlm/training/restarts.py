"""Restarts in training side by side: models of one shape and of seeds that follow each other, in one computation.

Each ends as the model that is trained alone with its seed: it has its own initial weights, order of the text, clip,
annealing and end.

R restarts, B rows of each, L targets in a row, M words that a row's windows cover, T tokens of the text.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from memlm.config.training import TrainConfig
from memlm.data.batches import EMPTY, NOTHING, Batch, Span, gather_together, plan_epoch
from memlm.data.corpus.reading import Tokens
from memlm.errors import MemlmError
from memlm.evaluation.inputs import to_tensors
from memlm.evaluation.perplexity import TokenNats, total
from memlm.kernels.cuda_graph import CapturedUpdate, Update
from memlm.models.base import State
from memlm.models.device import choose_precision
from memlm.models.memn2n import MemN2N
from memlm.models.stacked import StackedMemN2N
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import DivergedError
from memlm.training.metrics import epoch_metrics, sample_of, step_figures
from memlm.training.optim import StackedClippedSGD
from memlm.training.progress import Totals
from memlm.training.standings import Standings, together

logger = logging.getLogger(__name__)


class Restarts:
    """What training.text.Training is for one model. A restart that diverges is left out, and the others go on."""

    def __init__(self, model: StackedMemN2N, config: TrainConfig, device: torch.device) -> None:
        self.model = model.to(device)
        self.head = model.head
        self.head.precision = choose_precision(config.precision, device)
        self.config = config
        self.device = device
        self.optimizer = StackedClippedSGD(model.parameters(), clip=config.clip)
        self.progress = Standings.begin(config)
        self.steps_in_epoch = 0
        self._lengths = [0] * config.restarts  # steps of each restart's epoch
        self._rates = torch.zeros(config.restarts, dtype=torch.float64, device=device)
        # Of each restart what memlm.training.text.Training sums: (5, R).
        self._sums = torch.zeros(5, config.restarts, dtype=torch.float64, device=device)
        self._update: Update = CapturedUpdate(self._updated) if device.type == "cuda" else self._updated
        self._alone = MemN2N(model.config, model.vocabulary_size).to(device)
        self._set_rates()
        self.start_clock()

    def save(self, run: RunFolder) -> None:
        """The state as the run's checkpoint `last`. Raises DivergedError if no restart is finite."""
        self.settle()
        norms = self._parameter_norms()
        for restart, active in enumerate(self.progress.active(self.config)):
            if active and not math.isfinite(norms[restart]):
                self._leave_out(restart, "the norm of the weights", self.progress.each[restart].step)
        meta = {"step": self.progress.step, "standings": self.progress.to_dict()}
        checkpoint.save(run.last, self.model, meta)

    def load(self, run: RunFolder) -> None:
        """Go on from the run's checkpoint `last`, or the one before it where that is damaged."""
        state = checkpoint.read(run.last)
        checkpoint.fill(self.model, state)
        try:
            self.progress = Standings.from_dict(state.meta["standings"])
        except (KeyError, TypeError):
            raise MemlmError(f"{state.folder} is damaged: it does not hold the state of restarts") from None
        totals = [progress.totals for progress in self.progress.each]
        sums = [[each.nats, each.grad_norm, each.clipped_norm, each.clipped, each.steps] for each in totals]
        self._sums.copy_(torch.tensor(sums, dtype=torch.float64).T)
        checkpoint.set_aside(run.last, state)

    def batches(self, tokens: Tokens) -> Iterator[Batch]:
        """What is still to be trained on in the epoch under way."""
        if self.progress.totals.steps == 0:
            self._sums.zero_()
        self.model.train()
        self._set_rates()
        plans = [
            plan_epoch(dataclasses.replace(self.config, seed=seed), len(tokens), progress.epoch)
            for seed, progress in zip(self.progress.seeds, self.progress.each, strict=True)
        ]
        self._lengths = [len(plan) for plan in plans]
        self.steps_in_epoch = max(self._lengths)
        self.start_clock()
        return self._gathered(tokens, plans)

    def _gathered(self, tokens: Tokens, plans: Sequence[Sequence[Span]]) -> Iterator[Batch]:
        """Batches of one shape, in which restarts that wait or train no more have no targets."""
        config = self.config
        length = 1 if config.sampling == "windows" else config.chunk_length
        while True:
            spans = [
                plan[progress.totals.steps] if active and progress.totals.steps < len(plan) else NOTHING
                for plan, progress, active in zip(plans, self.progress.each, self.progress.active(config), strict=True)
            ]
            if not any(span.length for span in spans):
                return
            rows = config.batch_size // length
            yield gather_together(tokens, spans, self.model.context_size, rows=rows, length=length)

    @property
    def epoch_is_whole(self) -> bool:
        """Whether each restart that trains has had all steps of the epoch under way."""
        done = [progress.totals.steps for progress in self.progress.each]
        return all(steps in (0, length) for steps, length in zip(done, self._lengths, strict=True))

    @property
    def finished(self) -> str:
        """Why training is over; empty while it is not."""
        return self.progress.finished(self.config)

    def start_clock(self) -> None:
        """Count the time from now on as spent on steps."""
        self._clock = time.perf_counter()

    def step(self, batch: Batch) -> None:
        """One update of each restart that has targets in the batch, on their summed loss."""
        inputs, targets = to_tensors(batch, self.device)
        self._update(inputs, targets.flatten(1), None)
        counts = (batch.targets != EMPTY).sum(axis=(1, 2)).tolist()
        for progress, count in zip(self.progress.each, counts, strict=True):
            if count:
                progress.step += 1
                progress.totals.steps += 1
                progress.totals.targets += count

    def _updated(self, inputs: Tensor, targets: Tensor, carried: State) -> State:
        """All that a step does on the device, of inputs (R, B, M) and targets (R, B L); no restart sees another."""
        hidden, _ = self.model(inputs)
        rows = hidden.flatten(1, 2)
        there = targets >= 0
        own = there.unsqueeze(2)
        nats, grad = self.head.backward(torch.where(own, rows.detach(), 0), targets.clamp_min(0))
        rows.backward(torch.where(own, grad, 0))
        norms = self.optimizer.norms()
        clipped = norms.clamp(max=self.config.clip)
        summed = torch.where(there, nats, 0).sum(1)
        self._sums[:4] += torch.stack([summed, norms, clipped, (norms > clipped).to(norms.dtype)])
        finite = self._sums[:2].sum(0).isfinite()  # once a restart's are not, they never are again
        self._sums[4] += finite
        self.optimizer.step(norms, torch.where(finite, self._rates, 0))
        return None

    def settle(self) -> None:
        """Bring the totals up to date. Raises DivergedError once no loss or gradient is finite."""
        now = time.perf_counter()
        for restart, (nats, norms, clipped_norms, clipped, good) in enumerate(self._sums.T.tolist()):
            progress = self.progress.each[restart]
            totals = progress.totals
            if totals.steps and not math.isfinite(nats + norms):
                self._leave_out(restart, "the loss or its gradient", progress.step - totals.steps + round(good) + 1)
            elif totals.steps:
                totals.nats, totals.grad_norm, totals.clipped_norm = nats, norms, clipped_norms
                totals.clipped = round(clipped)
                totals.seconds += now - self._clock
        self._clock = now

    def _leave_out(self, restart: int, what: str, step: int) -> None:
        standings = self.progress
        rate = standings.each[restart].annealing.lr
        standings.leave_out(restart, step)
        self._set_rates()
        error = f"{what} is not finite at step {step}, at learning rate {rate:.4g}"
        if None not in standings.diverged:
            raise DivergedError(f"no restart is left: of seed {standings.seeds[restart]}, {error}")
        logger.warning("the restart of seed %d is left out: %s", standings.seeds[restart], error)

    def _set_rates(self) -> None:
        rates = [
            progress.annealing.lr if active else 0.0
            for progress, active in zip(self.progress.each, self.progress.active(self.config), strict=True)
        ]
        self._rates.copy_(torch.tensor(rates, dtype=torch.float64))

    def note_point(self) -> tuple[Totals, dict[str, float]]:
        """Totals over the restarts, and means of their figures, of the steps since the last point of the curves.

        Tokens a second are those of all together.
        """
        self.settle()
        if self.progress.step == self.progress.logged_step:  # there is one: the others catch up with the furthest
            return Totals(), {}
        norms = self._parameter_norms()
        recents, figures = [Totals()], []
        for progress, norm in zip(self.progress.each, norms, strict=True):
            recent = progress.totals.since(progress.logged)
            if recent.steps:
                progress.logged = dataclasses.replace(progress.totals)
                recents.append(recent)
                figures.append(step_figures(recent, lr=progress.annealing.lr, parameter_norm=norm))
        names, total_recent = figures[0] if figures else {}, together(recents)
        means = {name: sum(each[name] for each in figures) / len(figures) for name in names}
        if means:
            means["tokens_per_second"] = total_recent.targets / total_recent.seconds
        return total_recent, means

    def end_epoch(self, nats: TokenNats) -> bool:
        """Take note of validation: of the nats (R, T) of its tokens. Whether a restart is the best so far."""
        before = self.progress.best_restart, self.progress.best_step
        norms = self._parameter_norms()
        validated = [restart for restart, progress in enumerate(self.progress.each) if progress.totals.steps]
        figures = {}
        for restart in validated:
            progress = self.progress.each[restart]
            if not math.isfinite(total(nats[restart]).nats):
                self._leave_out(restart, "the validation loss", progress.step)
            else:
                rate = progress.annealing.lr
                figures[restart] = step_figures(progress.totals, lr=rate, parameter_norm=norms[restart])
        self.settle()  # the time of validation
        for restart, own in figures.items():
            progress, score = self.progress.each[restart], total(nats[restart])
            metrics = epoch_metrics(progress, own, valid_perplexity=score.perplexity)
            progress.end_epoch(metrics, score.nats_per_token, sample_of(nats[restart]))
        return before != (self.progress.best_restart, self.progress.best_step)

    def best_model(self) -> MemN2N:
        """The restart that has been best, as it is now."""
        best = self.progress.best_restart
        self.model.take(0 if best is None else best, self._alone)
        return self._alone

    def _parameter_norms(self) -> list[float]:
        """The l2 norm of all parameters of each restart together."""
        norms = [torch.linalg.vector_norm(p.detach().flatten(1), dim=1) for p in self.model.parameters()]
        found: list[float] = torch.linalg.vector_norm(torch.stack(norms), dim=0).tolist()
        return found
