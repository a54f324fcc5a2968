"""A model in training: the weights and everything else that training changes; a step of it, saved and loaded."""

import dataclasses
import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from memlm.config.training import TrainConfig
from memlm.data.batches import Batch, gather, plan_epoch
from memlm.data.corpus.reading import Tokens
from memlm.errors import MemlmError
from memlm.evaluation.inputs import to_tensors
from memlm.evaluation.perplexity import TokenNats, total
from memlm.kernels.cuda_graph import CapturedUpdate, Update
from memlm.models.base import LanguageModel, State
from memlm.models.device import choose_precision
from memlm.models.layers.head import TrainableHead
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from memlm.training.interfaces import DivergedError
from memlm.training.metrics import epoch_metrics, sample_of, step_figures
from memlm.training.optim import ClippedSGD
from memlm.training.progress import Progress, Totals, finished
from memlm.training.schedule import Annealing


class Training:
    """A model in training: the weights and everything else that training changes."""

    def __init__(self, model: LanguageModel, config: TrainConfig, device: torch.device) -> None:
        assert isinstance(model.head, TrainableHead)  # the others have no gradient
        self.model = model.to(device)
        self.head = model.head
        self.head.precision = choose_precision(config.precision, device)
        self.config = config
        self.device = device
        self.optimizer = ClippedSGD(model.parameters(), lr=config.lr, clip=config.clip)
        self.progress = Progress(annealing=Annealing.from_config(config))
        self.carried: State = None
        self.steps_in_epoch = 0
        captured = device.type == "cuda" and not self.head.waits_for_device
        self._update: Update = CapturedUpdate(self._updated) if captured else self._updated
        # Nats, norms of gradients, clipped norms, clips, and steps up to which nats and norms were finite: over the
        # epoch so far, on the device, for reading them costs CUDA a stop.
        self._sums = torch.zeros(5, dtype=torch.float64, device=device)
        self.start_clock()
        torch.manual_seed(config.seed)  # dropout

    def save(self, run: RunFolder) -> None:
        """The state as the run's checkpoint `last`. Raises DivergedError instead of saving what is not finite."""
        self.settle()
        if not math.isfinite(parameter_norm(self.model)):
            raise self.diverged("the norm of the weights", self.progress.step)
        training = {"generator": torch.get_rng_state()}
        if self.device.type == "cuda":
            training["generator.cuda"] = torch.cuda.get_rng_state(self.device)
        training |= {f"carried.{i}": tensor.contiguous() for i, tensor in enumerate(self.carried or ())}
        meta = {"step": self.progress.step, "progress": dataclasses.asdict(self.progress)}
        checkpoint.save(run.last, self.model, meta, training=training)

    def load(self, run: RunFolder) -> None:
        """Go on from the run's checkpoint `last`, or the one before it where that is damaged."""
        state = checkpoint.read(run.last)
        checkpoint.fill(self.model, state)
        tensors = dict(state.training)
        try:
            self.progress = Progress.from_dict(state.meta["progress"])
            torch.set_rng_state(tensors.pop("generator"))
            cuda = tensors.pop("generator.cuda", None)
            if cuda is not None and self.device.type == "cuda":
                torch.cuda.set_rng_state(cuda, self.device)
        except (KeyError, TypeError, RuntimeError):
            raise MemlmError(f"{state.folder} is damaged: it does not hold the state of a training") from None
        self.carried = tuple(tensors[name].to(self.device) for name in sorted(tensors)) or None
        totals = self.progress.totals
        sums = [totals.nats, totals.grad_norm, totals.clipped_norm, totals.clipped, totals.steps]
        self._sums.copy_(torch.tensor(sums, dtype=torch.float64))
        checkpoint.set_aside(run.last, state)

    def start_epoch(self) -> None:
        """Before the first step of an epoch: nothing is carried into it."""
        self.carried = None
        self._sums.zero_()

    def batches(self, tokens: Tokens) -> Iterator[Batch]:
        """What is still to be trained on in the epoch under way."""
        progress = self.progress
        if progress.totals.steps == 0:
            self.start_epoch()
        self.model.train()
        self.optimizer.lr = progress.annealing.lr
        plan = plan_epoch(self.config, len(tokens), progress.epoch)
        self.steps_in_epoch = len(plan)
        self.start_clock()
        return (gather(tokens, span, self.model.context_size) for span in plan[progress.totals.steps :])

    @property
    def epoch_is_whole(self) -> bool:
        """Whether the epoch under way has had all its steps."""
        return self.progress.totals.steps == self.steps_in_epoch

    @property
    def finished(self) -> str:
        """Why training is over; empty while it is not."""
        return finished(self.progress, self.config)

    def start_clock(self) -> None:
        """Count the time from now on as spent on steps."""
        self._clock = time.perf_counter()

    def step(self, batch: Batch) -> None:
        """One update on the summed loss of a batch."""
        inputs, targets = to_tensors(batch, self.device)
        self.carried = self._update(inputs, targets, self.carried)
        self.progress.step += 1
        self.progress.totals.steps += 1
        self.progress.totals.targets += targets.numel()

    def _updated(self, inputs: Tensor, targets: Tensor, carried: State) -> State:
        """All that a step does on the device: the weights and the sums change in place; the state to carry on."""
        hidden, state = self.model(inputs, carried)
        rows = hidden.flatten(0, 1)
        nats, grad = self.head.backward(rows.detach(), targets.flatten())
        rows.backward(grad)
        norm = self.optimizer.step()
        clipped = norm.clamp(max=self.config.clip)
        self._sums[:4] += torch.stack([nats.sum(), norm, clipped, (norm > clipped).to(norm.dtype)])
        self._sums[4] += self._sums[:2].sum().isfinite()  # once it is not, it never is again
        return None if state is None else tuple(tensor.detach() for tensor in state)

    def settle(self) -> None:
        """Bring the totals up to date. Raises DivergedError, naming the step, if a loss or gradient was not finite."""
        nats, norms, clipped_norms, clipped, good = self._sums.tolist()
        totals = self.progress.totals
        if not math.isfinite(nats + norms):
            raise self.diverged("the loss or its gradient", self.progress.step - totals.steps + round(good) + 1)
        totals.nats, totals.grad_norm, totals.clipped_norm = nats, norms, clipped_norms
        totals.clipped = round(clipped)
        totals.seconds += time.perf_counter() - self._clock
        self.start_clock()

    def note_point(self) -> tuple[Totals, dict[str, float]]:
        """Totals and figures of the steps since the last point of the curves, if any: this is the next point."""
        self.settle()
        recent = self.progress.totals.since(self.progress.logged)
        if not recent.steps:
            return recent, {}
        self.progress.logged = dataclasses.replace(self.progress.totals)
        return recent, self._figures(recent)

    def end_epoch(self, nats: TokenNats) -> bool:
        """Take note of validation: of the nats (T,) of its tokens. Whether the state is the best so far."""
        progress, score = self.progress, total(nats)
        if not math.isfinite(score.nats):
            raise self.diverged("the validation loss", progress.step)
        figures = self._figures(progress.totals)
        self.settle()  # the time of validation
        metrics = epoch_metrics(progress, figures, valid_perplexity=score.perplexity)
        return progress.end_epoch(metrics, score.nats_per_token, sample_of(nats))

    def best_model(self) -> LanguageModel:
        """The model as it is now."""
        return self.model

    def _figures(self, totals: Totals) -> dict[str, float]:
        return step_figures(totals, lr=self.optimizer.lr, parameter_norm=parameter_norm(self.model))

    def diverged(self, what: str, step: int) -> DivergedError:
        """The error that names the step and the learning rate."""
        return DivergedError(f"{what} is not finite at step {step}, at learning rate {self.optimizer.lr:.4g}")


def parameter_norm(model: LanguageModel) -> float:
    """The l2 norm of all parameters together."""
    norms = torch._foreach_norm([p.detach() for p in model.parameters()])
    return float(torch.linalg.vector_norm(torch.stack(list(norms))))
