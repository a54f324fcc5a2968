"""A slow float64 LSTM language model (Hochreiter and Schmidhuber 1997, with forget gates, no peepholes).

It shares nothing with the package: the tests hold the package's fast code against it. Weights are named and
laid out as torch.nn.LSTM's: the rows of a layer's matrices are its input, forget, cell and output gates.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _cell(x: Floats, h: Floats, c: Floats, weights: Mapping[str, Floats], layer: int) -> tuple[Floats, Floats]:
    """One step of one layer: the new output and the new cell state."""
    from_input = weights[f"weight_ih_l{layer}"] @ x + weights[f"bias_ih_l{layer}"]
    from_state = weights[f"weight_hh_l{layer}"] @ h + weights[f"bias_hh_l{layer}"]
    input_gate, forget_gate, candidate, output_gate = np.split(from_input + from_state, 4)
    c = _sigmoid(forget_gate) * c + _sigmoid(input_gate) * np.tanh(candidate)
    return _sigmoid(output_gate) * np.tanh(c), c


def nats_per_token(tokens, weights: Mapping[str, Any], *, layers: int, start_token: int) -> Floats:
    """The nats (T,) of every token; the state starts at zero and is carried over the whole text.

    The first token is predicted from ``start_token``, every other one from the token before it.
    """
    arrays = {name: np.asarray(w, dtype=np.float64) for name, w in weights.items() if w is not None}
    sizes = [arrays[f"weight_hh_l{layer}"].shape[1] for layer in range(layers)]
    h = [np.zeros(size) for size in sizes]
    c = [np.zeros(size) for size in sizes]
    nats = np.zeros(len(tokens))
    previous = int(start_token)
    for t in range(len(tokens)):
        x = arrays["embedding"][previous]
        for layer in range(layers):
            h[layer], c[layer] = _cell(x, h[layer], c[layer], arrays, layer)
            x = h[layer]
        logits = arrays["W"] @ x
        if "b" in arrays:
            logits = logits + arrays["b"]
        highest = logits.max()
        previous = int(tokens[t])
        nats[t] = highest + np.log(np.sum(np.exp(logits - highest))) - logits[previous]
    return nats
