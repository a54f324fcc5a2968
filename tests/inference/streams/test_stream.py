"""A model's own stream."""

import numpy as np
import pytest

from memlm.evaluation.perplexity import token_nats
from memlm.inference.streams.stream import stream_nats
from tests.helpers.streams import MODELS, make, plain


@pytest.mark.parametrize("name", MODELS)
def test_a_models_stream_scores_as_evaluation_does(name: str, tokens: np.ndarray):
    model = make(name)
    np.testing.assert_allclose(np.concatenate(list(stream_nats(plain(model), tokens))), token_nats(model, tokens))
