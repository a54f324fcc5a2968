"""Dynamic evaluation: a model that learns from what it has just read.

Source: Krause, Kahembwe, Murray, Renals 2018, https://arxiv.org/abs/1709.07432, with their RMS rule and RMS decay.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from memlm.config.settings import Settings, setting
from memlm.data.corpus.reading import Tokens
from memlm.inference.streams.stream import ModelStream, hidden_states
from memlm.models.base import LanguageModel, State
from memlm.models.layers.head import TrainableHead

STATISTICS_SEGMENTS = 1500  # of the training split, that the gradients' size is measured on
SEED = 1  # of where these lie


@dataclass(frozen=True, kw_only=True)
class DynamicWeights(Settings):
    """After each segment, with g the gradient of its summed loss and r that gradient's root mean square in training:
    p <- p - lr g / (r + epsilon) + min(1, decay r / mean(r)) (p_trained - p).
    """

    lr: float = setting(0.0003, "learning rate", low=0)
    decay: float = setting(0.0, "how strongly weights are drawn back to the trained ones, after each segment", low=0)
    segment: int = setting(20, "words that are learnt from at once", low=1)
    epsilon: float = setting(0.01, "keeps weights still whose gradients in training were next to nothing", above=0)


class DynamicStream(ModelStream):
    """A copy of the model, which is scored on each segment and then learns from it; the model itself stays as it is.

    `rms` holds a tensor for each parameter: `gradient_rms` of the model.
    """

    def __init__(self, model: LanguageModel, weights: DynamicWeights, rms: Sequence[Tensor]) -> None:
        super().__init__(copy.deepcopy(model))
        self.weights = weights
        self.trained = [p.detach() for p in model.parameters()]
        self.rates = [weights.lr / (r + weights.epsilon) for r in rms]
        mean = sum(float(r.sum()) for r in rms) / sum(r.numel() for r in rms)
        self.decays = [(weights.decay / mean * r).clamp_(max=1) for r in rms] if weights.decay and mean else []
        self.unlearnt = self.context[:0]  # read tokens of the segment under way
        self.start = (self.context, self.state)  # as they were before these

    def parts(self, tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Hidden states with their tokens, cut where segments end: what follows is of a model that has learnt."""
        while len(tokens):
            room = self.weights.segment - len(self.unlearnt)
            part, tokens = tokens[:room], tokens[room:]
            yield self._advance(part), part
            self.unlearnt = torch.cat([self.unlearnt, part])
            if len(self.unlearnt) == self.weights.segment:
                self._learn()

    @torch.no_grad()
    def _learn(self) -> None:
        context, state = self.start
        grads = segment_gradients(self.model, torch.cat([context, self.unlearnt]), state)
        if self.decays:
            for parameter, decay, trained in zip(self.model.parameters(), self.decays, self.trained, strict=True):
                torch.lerp(parameter, trained, decay, out=parameter)
        for parameter, grad, rate in zip(self.model.parameters(), grads, self.rates, strict=True):
            if grad.is_sparse:
                rows = grad.indices()[0]
                parameter.index_add_(0, rows, grad.values() * rate[rows], alpha=-1)
            else:
                parameter.addcmul_(grad, rate, value=-1)
        self.unlearnt = self.unlearnt[:0]
        self.start = (self.context, self.state)


def gradient_rms(model: LanguageModel, tokens: Tokens, *, segment: int) -> list[Tensor]:
    """Root mean square of each weight's gradient over segments of the training split (T,), a tensor a parameter.

    The segments lie at random places, the same ones each time; a model that carries state begins there as at the
    start of a text.
    """
    C, device = model.context_size, model.device
    model = copy.deepcopy(model).eval()
    squares = [torch.zeros_like(p) for p in model.parameters()]
    segment = min(segment, len(tokens))
    places = np.random.default_rng(SEED).integers(len(tokens) - segment + 1, size=STATISTICS_SEGMENTS)
    for place in places.tolist():
        text = torch.full((C + segment,), -1)
        seen = torch.from_numpy(tokens[max(place - C, 0) : place + segment].astype(np.int64))
        text[len(text) - len(seen) :] = seen
        for square, grad in zip(squares, segment_gradients(model, text.to(device), None), strict=True):
            if grad.is_sparse:
                square.index_add_(0, grad.indices()[0], grad.values().square())
            else:
                square.addcmul_(grad, grad)
    return [(square / len(places)).sqrt_() for square in squares]


def segment_gradients(model: LanguageModel, text: Tensor, state: State) -> list[Tensor]:
    """Gradients of the summed loss of the last L words of `text` (C+L,); those of embeddings are sparse on a CPU."""
    assert isinstance(model.head, TrainableHead)  # the others have no gradient
    # cuDNN has no backward pass of an LSTM that is in evaluation, where nothing is dropped.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        hidden, _ = hidden_states(model, text, state)
        _, grad = model.head.backward(hidden.detach(), text[model.context_size :])
        torch.autograd.backward(hidden, grad)
    return [_taken(parameter) for parameter in model.parameters()]


def _taken(parameter: torch.nn.Parameter) -> Tensor:
    """The gradient, which the parameter then forgets."""
    grad, parameter.grad = parameter.grad, None
    if grad is None:
        return torch.zeros_like(parameter)
    return grad.coalesce() if grad.is_sparse else grad
