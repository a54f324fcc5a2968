"""Evaluate a trained model on a text.

T tokens.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memlm.data import dataset
from memlm.data.corpus.reading import Tokens
from memlm.data.dataset import TextDataset
from memlm.evaluation import passport
from memlm.evaluation.passport import ALL_BEFORE, Facts, Passport
from memlm.evaluation.perplexity import Tick, TokenNats, check_protocol, perplexity, token_nats
from memlm.evaluation.records import Evaluation
from memlm.inference.streams.adapted import Adapted
from memlm.inference.streams.stream import stream_nats

if TYPE_CHECKING:
    from memlm.inference.questions import TrainedTasks
    from memlm.inference.text import TrainedModel


def evaluate(
    model: "TrainedModel | TrainedTasks | str | Path", split: str = "test", *, protocol: str = "exact"
) -> Passport:
    """Evaluate a model, or the run at a path, on a split of the run's dataset, and return the passport.

    The result is `["perplexity"]` for a language model, and `["mean_error"]`, in percent, for question answering.
    Nothing is written to the run folder; `memlm eval` does that. Raises MemlmError for an unknown run, split or
    protocol.

    >>> memlm.evaluate("runs/mine", "valid")
    <passport: memn2n-2x8 on ...corpus valid, perplexity ... of 100 tokens, protocol exact, checkpoint best>
    >>> memlm.evaluate("runs/questions")["tasks"].keys()
    dict_keys(['1'])
    """
    from memlm.inference.load import load  # here, because it imports this module

    trained: TrainedModel | TrainedTasks = load(model) if isinstance(model, str | Path) else model
    return trained.evaluate(split, protocol=protocol)


def read_split(model: "TrainedModel", *splits: str) -> TextDataset:
    """Splits of the dataset that the model was trained on, encoded with its vocabulary.

    Raises MemlmError if a split is not the text that the model was trained on.
    """
    config = model.config
    found = dataset.load_dataset(config.dataset, config.data, splits=splits, vocabulary=model.vocabulary)
    model.manifest.check_text(config.dataset, found.sha256)
    return found


def score(
    model: "TrainedModel",
    data: TextDataset,
    split: str,
    protocol: str = "exact",
    *,
    tick: Tick = lambda done, total: None,
) -> Evaluation:
    """Score a split of a dataset that is encoded with the model's vocabulary.

    `tick(done, total)` is called with numbers of tokens. If it raises an exception, scoring stops.
    """
    text, memory_size = data.splits[split], model.model.memory_size
    check_protocol(protocol, tokens=len(text.tokens), memory_size=memory_size)
    began = time.perf_counter()
    nats = score_tokens(model, text.tokens, tick)
    known = facts(model, data, split, protocol, seconds=time.perf_counter() - began)
    scored = passport.make_passport(nats, text, known, memory_size=memory_size, floor_nats=data.floor_nats.get(split))
    starts = np.flatnonzero(model.vocabulary.word_starts(text.tokens))
    return Evaluation(passport=scored, nats=nats, word_nats=np.add.reduceat(nats, starts))


def score_tokens(model: "TrainedModel", tokens: Tokens, tick: Tick = lambda done, total: None) -> TokenNats:
    """-log p of each token (T,), given all tokens before it, under the model with its adaptation."""
    if model.adapted_model is None:
        return token_nats(model.model, tokens, tick=tick)
    pieces, done = [], 0
    for piece in stream_nats(model.stream(), tokens):
        pieces.append(piece)
        done += len(piece)
        tick(done, len(tokens))
    return np.concatenate(pieces)


def facts(model: "TrainedModel", data: TextDataset, split: str, protocol: str, *, seconds: float) -> Facts:
    """The facts in the passport of a model on a text."""
    weight = next(tensor for tensor in model.model.tensors().values() if tensor.is_floating_point())
    return Facts(
        run=str(model.run.path),
        model=model.config.model.name,
        label=model.config.model.label,
        dataset=data.name,
        split=split,
        protocol=protocol,
        checkpoint=model.checkpoint,
        step=model.step,
        parameters=model.model.parameter_count,
        data=asdict(model.config.data),
        tokenizer=model.vocabulary.tokenizer,
        vocabulary_size=len(model.vocabulary),
        vocabulary_sha256=model.vocabulary.sha256,
        context=_context_seen(model.adapted_model or Adapted(model=model.model)),
        wrappers=dict(model.adaptation),
        dtype=str(weight.dtype).removeprefix("torch."),
        device=weight.device.type,
        seconds=seconds,
    )


def _context_seen(adapted: Adapted) -> int | str:
    """How many words a prediction can see. A cache, dynamic evaluation or a carried state can see all of them."""
    models = [adapted.model, *adapted.others]
    weights = adapted.adaptation
    if weights.cache or weights.dynamic or any(model.carries_state for model in models):
        return ALL_BEFORE
    return max(model.context_size for model in models)


def remeasure(model: "TrainedModel") -> tuple[float, float] | None:
    """Perplexity of the first validation tokens: as recorded in the checkpoint, and as measured now.

    None if the checkpoint has no such record: `last` has none, and checkpoints of format 1 have none.
    """
    if model.sample is None:
        return None
    tokens, nats = int(model.sample["tokens"]), float(model.sample["nats"])
    now = token_nats(model.model, read_split(model, "valid").splits["valid"].tokens[:tokens])
    return perplexity(nats, tokens), perplexity(float(now.sum()), tokens)
