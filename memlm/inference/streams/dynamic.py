"""Dynamic evaluation: the model is trained on each segment of the text after it has been scored.

C words of context, D units, L tokens in a segment, T tokens in a text.
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

STATISTICS_SEGMENTS = 1500  # of the training split, for the root mean square of the gradients
SEED = 1  # for the places of these segments


@dataclass(frozen=True, kw_only=True)
class DynamicWeights(Settings):
    """Weights of dynamic evaluation. After each segment, every parameter p is updated:

    p <- p - lr g / (r + epsilon) + min(1, decay r / mean(r)) (p_trained - p), where g is the gradient of the summed
    loss of the segment, and r is the root mean square of such gradients on the training split.
    """

    lr: float = setting(0.0003, "learning rate", low=0)
    decay: float = setting(0.0, "decay towards the trained weights after each segment", low=0)
    segment: int = setting(20, "words per segment", low=1)
    epsilon: float = setting(0.01, "added to r: weights whose gradients in training were tiny change little", above=0)


class DynamicStream(ModelStream):
    """A copy of the model that is updated after each segment. The model itself does not change.

    `rms` is the `gradient_rms` of the model, one tensor per parameter.
    """

    def __init__(self, model: LanguageModel, weights: DynamicWeights, rms: Sequence[Tensor]) -> None:
        super().__init__(copy.deepcopy(model))
        self.weights = weights
        self.trained = [p.detach() for p in model.parameters()]
        self.rates = [weights.lr / (r + weights.epsilon) for r in rms]
        mean = sum(float(r.sum()) for r in rms) / sum(r.numel() for r in rms)
        self.decays = [(weights.decay / mean * r).clamp_(max=1) for r in rms] if weights.decay and mean else []
        self.pending = self.context[:0]  # tokens of the current segment that were read
        self.start = (self.context, self.state)  # context and state before the current segment

    def parts(self, tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Hidden states with their tokens, cut at the ends of segments, because the model is then updated."""
        while len(tokens):
            room = self.weights.segment - len(self.pending)
            part, tokens = tokens[:room], tokens[room:]
            yield self._advance(part), part
            self.pending = torch.cat([self.pending, part])
            if len(self.pending) == self.weights.segment:
                self._update()

    @torch.no_grad()
    def _update(self) -> None:
        context, state = self.start
        grads = segment_gradients(self.model, torch.cat([context, self.pending]), state)
        if self.decays:
            for parameter, decay, trained in zip(self.model.parameters(), self.decays, self.trained, strict=True):
                torch.lerp(parameter, trained, decay, out=parameter)
        for parameter, grad, rate in zip(self.model.parameters(), grads, self.rates, strict=True):
            if grad.is_sparse:
                rows = grad.indices()[0]
                parameter.index_add_(0, rows, grad.values() * rate[rows], alpha=-1)
            else:
                parameter.addcmul_(grad, rate, value=-1)
        self.pending = self.pending[:0]
        self.start = (self.context, self.state)


def gradient_rms(model: LanguageModel, tokens: Tokens, *, segment: int) -> list[Tensor]:
    """Root mean square of each weight's gradient over segments of the training split (T,): one tensor per parameter.

    The segments are at random places, which are the same in each call. A model that carries state starts each segment
    with the state of the start of a text.
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
    """Gradients of the summed loss of the last L words of `text` (C+L,). On a CPU, those of embeddings are sparse."""
    assert isinstance(model.head, TrainableHead)  # other heads have no gradient
    # cuDNN has no backward pass for an LSTM in evaluation mode, which has no dropout.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        hidden, _ = hidden_states(model, text, state)
        _, grad = model.head.backward(hidden.detach(), text[model.context_size :])
        torch.autograd.backward(hidden, grad)
    return [_pop_gradient(parameter) for parameter in model.parameters()]


def _pop_gradient(parameter: torch.nn.Parameter) -> Tensor:
    """The gradient of a parameter, which is then removed from it."""
    grad, parameter.grad = parameter.grad, None
    if grad is None:
        return torch.zeros_like(parameter)
    return grad.coalesce() if grad.is_sparse else grad
