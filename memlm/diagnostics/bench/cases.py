"""The cases that are timed: a training step or an evaluation of memlm, and what it is compared with.

R targets per step, D units, V words.
"""

from collections.abc import Iterator
from itertools import cycle

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from memlm.config.models import LanguageModelSettings, LSTMConfig, MemN2NConfig
from memlm.config.training import TrainConfig
from memlm.data.batches import Batch, gather, plan_epoch
from memlm.data.corpus.reading import Tokens
from memlm.diagnostics.bench import per_window
from memlm.diagnostics.bench.measure import Case
from memlm.evaluation.perplexity import token_nats
from memlm.models.build import build_initialised, build_stacked
from memlm.models.layers.head import SoftmaxHead
from memlm.models.layers.products import product
from memlm.models.memn2n import MemN2N
from memlm.training.text import SingleLearner, StackedLearner

BATCHES = 64  # number of different batches of a case, so that its words are not all in the cache


def zipf_tokens(vocabulary_size: int, count: int) -> Tokens:
    """A random text (count,). The frequency of a word is 1 / rank, about as in real texts."""
    weights = 1 / np.arange(1, vocabulary_size + 1)
    rng = np.random.default_rng(0)
    return rng.choice(vocabulary_size, size=count, p=weights / weights.sum()).astype(np.int32)


def make_training(
    model: LanguageModelSettings, train: TrainConfig, vocabulary_size: int, device: torch.device
) -> SingleLearner:
    """A newly initialised model, ready to train."""
    return SingleLearner(build_initialised(model, vocabulary_size=vocabulary_size, eos=0, seed=1), train, device)


def make_restarts(
    model: MemN2NConfig, train: TrainConfig, vocabulary_size: int, device: torch.device
) -> StackedLearner:
    """Newly initialised restarts of a model, ready to train side by side."""
    return StackedLearner(
        build_stacked(model, vocabulary_size=vocabulary_size, seed=train.seed, restarts=train.restarts), train, device
    )


def training_step(
    model: LanguageModelSettings, train: TrainConfig, tokens: Tokens, vocabulary_size: int, device: torch.device
) -> Case:
    """One step of `memlm train`, with reading its batch."""
    training = make_training(model, train, vocabulary_size, device)
    spans = [span for span in plan_epoch(train, len(tokens), 0) if len(span.starts) * span.length == train.batch_size]
    turn = cycle(spans[:BATCHES])

    def step() -> None:
        training.carried = None
        training.step(gather(tokens, next(turn), training.model.context_size))

    return step


def evaluation(model: LanguageModelSettings, tokens: Tokens, vocabulary_size: int, device: torch.device) -> Case:
    """The scoring of the tokens, as in `memlm eval`."""
    built = build_initialised(model, vocabulary_size=vocabulary_size, eos=0, seed=1).to(device)
    return lambda: token_nats(built, tokens)


def per_window_step(
    model: MemN2NConfig, train: TrainConfig, tokens: Tokens, vocabulary_size: int, device: torch.device
) -> Case:
    """A training step of the per-window formulation, with the loss, clipping and optimiser of PyTorch."""
    built = build_initialised(model, vocabulary_size=vocabulary_size, eos=0, seed=1).to(device)
    assert isinstance(built, MemN2N)
    assert isinstance(built.head, SoftmaxHead)
    output = built.head.weight
    optimizer = torch.optim.SGD(built.parameters(), lr=train.lr)
    batches = _windows(tokens, model.memory_size, train.batch_size, device)

    def step() -> None:
        inputs, targets = next(batches)
        optimizer.zero_grad()
        logits = per_window.hidden_states(built, inputs).flatten(0, 1) @ output.t()
        cross_entropy(logits, targets, reduction="sum").backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(built.parameters(), train.clip)
        optimizer.step()

    return step


def per_window_evaluation(
    model: MemN2NConfig, tokens: Tokens, vocabulary_size: int, targets: int, device: torch.device
) -> Case:
    """The scoring of `targets` targets with the per-window formulation."""
    built = build_initialised(model, vocabulary_size=vocabulary_size, eos=0, seed=1).to(device)
    assert isinstance(built, MemN2N)
    assert isinstance(built.head, SoftmaxHead)
    output = built.head.weight
    batches = _windows(tokens, model.memory_size, targets, device)

    @torch.no_grad()
    def score() -> None:
        inputs, wanted = next(batches)
        logits = per_window.hidden_states(built, inputs).flatten(0, 1) @ output.t()
        cross_entropy(logits, wanted, reduction="none")

    return score


def floor(rows: int, units: int, vocabulary_size: int, device: torch.device, *, onednn: bool = True) -> Case:
    """Only the three products of the output layer, in float32, with the function that memlm uses or with torch.mm."""
    hidden = torch.randn(rows, units, device=device)
    weight = torch.randn(units, vocabulary_size, device=device)
    multiply = product if onednn else torch.mm

    def products() -> None:
        logits = multiply(hidden, weight)
        multiply(logits, weight.t())
        multiply(hidden.t(), logits)

    return products


def plain_lstm_step(
    model: LSTMConfig, train: TrainConfig, tokens: Tokens, vocabulary_size: int, device: torch.device
) -> Case:
    """A training step of nn.LSTM, nn.Linear and cross_entropy, as in a PyTorch tutorial."""
    embedding = nn.Embedding(vocabulary_size, model.units).to(device)
    lstm = nn.LSTM(model.units, model.units, model.layers).to(device)
    output = nn.Linear(model.units, vocabulary_size).to(device)
    parameters = [*embedding.parameters(), *lstm.parameters(), *output.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=train.lr)
    count = len(tokens) // train.batch_size
    text = torch.from_numpy(tokens[: count * train.batch_size].astype(np.int64)).to(device)
    batches = cycle(text.view(count, train.chunk_length, -1))

    def step() -> None:
        ids = next(batches)
        optimizer.zero_grad()
        logits = output(lstm(embedding(ids))[0]).flatten(0, 1)
        cross_entropy(logits, ids.flatten(), reduction="sum").backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, train.clip)
        optimizer.step()

    return step


def _windows(tokens: Tokens, memory_size: int, rows: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of windows (rows, N) of N words, and of the words after them (rows, 1), without end."""
    rng = np.random.default_rng(1)
    pairs = []
    for _ in range(BATCHES):
        starts = rng.integers(memory_size, len(tokens), size=rows)
        inputs = tokens[starts[:, None] + np.arange(-memory_size, 0)].astype(np.int64)
        batch = Batch(inputs, tokens[starts].astype(np.int64))
        pairs.append((torch.from_numpy(batch.inputs).to(device), torch.from_numpy(batch.targets).to(device)))
    return cycle(pairs)
