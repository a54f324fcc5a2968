"""A small memory network, and its weights as the oracle wants them.

V words, N memory slots, D units, K hops.
"""

import numpy as np
import torch

from memlm.config.models import MemN2NConfig
from memlm.models.base import LanguageModel
from memlm.models.memn2n import MemN2N

V, N, D, K = 17, 6, 8, 3


def make_memn2n(tying: str, generator: torch.Generator, *, temporal_encoding: bool = True) -> MemN2N:
    """A memory network with random weights, in float64."""
    config = MemN2NConfig(
        hops=K, memory_size=N, units=D, linear_units=3, tying=tying, temporal_encoding=temporal_encoding, init_std=0.6
    )
    model = MemN2N(config, V).double()
    model.initialise(generator.initial_seed())
    return model


def parameters_as_float64(model: LanguageModel) -> dict[str, np.ndarray]:
    """Every parameter as float64, by name."""
    return {name: p.detach().double().numpy() for name, p in model.named_parameters()}


def oracle_weights(model: MemN2N) -> dict[str, object]:
    """The model's parameters under the names of the paper."""
    p = parameters_as_float64(model)
    embeddings = [p[f"embeddings.{i}"] for i in range(len(model.embeddings))]
    times = [p[f"times.{i}"] for i in range(len(model.times))] or None
    if not model.layerwise:
        return {"E": embeddings, "T": times}
    weights: dict[str, object] = {"A": embeddings[0], "C": embeddings[1], "H": p["transition"], "W": p["head.weight"]}
    return weights | ({"T_A": times[0], "T_C": times[1]} if times else {})
