"""The question-answering model against an oracle written from the paper, restart by restart."""

from typing import Any

import numpy as np
import pytest
import torch

from memlm.config.models import AnswererConfig
from memlm.data.questions.encode import QuestionSet
from memlm.evaluation.inputs import Feed
from memlm.models.answerer import MemoryAnswerer, sentence_weights
from tests.oracles import answerer as oracle_answerer

V, D, K, S, W, R = 9, 4, 2, 5, 6, 3
QUESTIONS = 7


@pytest.fixture
def questions(rng: np.random.Generator) -> QuestionSet:
    """Stories of 1 to 5 sentences of 1 to 6 words; some sentences are told twice."""

    def sentences(count: int) -> np.ndarray:
        ids = rng.integers(V, size=(count, W))
        ids[np.arange(W) >= rng.integers(1, W + 1, size=count)[:, None]] = -1
        return ids

    lengths = np.arange(QUESTIONS) % S + 1
    stories = rng.integers(4, size=(QUESTIONS, S))
    stories[np.arange(S) < S - lengths[:, None]] = -1
    return QuestionSet(
        sentences=sentences(4),
        stories=stories,
        questions=sentences(QUESTIONS),
        answers=rng.integers(V, size=QUESTIONS),
        supporting=np.zeros((QUESTIONS, S), np.bool_),
    )


def make(**settings: object) -> MemoryAnswerer:
    """A model whose weights are large enough that everything counts."""
    config = AnswererConfig(hops=K, units=D, memory_size=S, init_std=0.7).replace(settings)
    model = MemoryAnswerer(config, V, R).double()
    model.initialise(3)
    return model


def weights_of(model: MemoryAnswerer, restart: int) -> dict[str, Any]:
    """A restart's parameters under the oracle's names."""

    def own(parameter: torch.Tensor | None) -> np.ndarray | None:
        return None if parameter is None else parameter[restart].detach().numpy()

    tables, times = [own(p) for p in model.embeddings], [own(p) for p in model.times]
    if not model.layerwise:
        return {"E": tables, "T": times or None}
    of_time = dict(zip(("T_A", "T_C"), times, strict=False))
    singles = {"B": own(model.question), "W": own(model.output), "H": own(model.transition)}
    return {"A": tables[0], "C": tables[1]} | singles | of_time


def words(row: np.ndarray) -> list[int]:
    return [int(word) for word in row if word >= 0]


@pytest.mark.parametrize("tying", ["adjacent", "layerwise"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"sentences": "bow"},
        {"position_scale": 1.0},
        {"temporal_encoding": False},
        {"relu": True},
        {"null_memory": False},
        {"hops": 1, "sentences": "bow", "relu": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("linear_start", [False, True])
def test_answers_and_attention_agree_with_the_oracle(
    tying: str, settings: dict[str, object], linear_start: bool, questions: QuestionSet
):
    model = make(tying=tying, **settings)
    config = model.config
    restarts = torch.full((R, 1, 1), linear_start) if linear_start else None
    feed = Feed(questions, model, device=torch.device("cpu"))
    numbers = np.array([np.roll(np.arange(QUESTIONS), restart) for restart in range(R)])
    scores, attention = model(feed(numbers), restarts)
    ours = scores.softmax(-1).detach().numpy()
    for restart in range(R):
        for at, number in enumerate(numbers[restart]):
            rows = questions.stories[number]
            story = [words(questions.sentences[row]) for row in rows if row >= 0]
            expected, probabilities = oracle_answerer.answer(
                story,
                words(questions.questions[number]),
                weights_of(model, restart),
                hops=config.hops,
                tying=tying,
                position_encoding=config.sentences == "pe",
                position_scale=config.position_scale,
                linear_start=linear_start,
                relu=config.relu,
                null=config.null_memory,
            )
            np.testing.assert_allclose(ours[restart, at], probabilities, atol=1e-10)
            for hop, weights in enumerate(attention):
                np.testing.assert_allclose(weights[restart, at, rows >= 0], expected[hop], atol=1e-10)
                assert (weights[restart, at, rows < 0] == 0).all()


def test_position_weights_of_a_sentence_of_three_words_by_hand():
    # d = 2: l_kj = (1 - j/3) - (k/2)(1 - 2j/3); k = 1: 1/2, 1/2, 1/2; k = 2: 1/3, 2/3, 1
    ids = torch.tensor([[0, 1, 0, -1, -1]])  # word 0 is first and last
    weights = sentence_weights(ids, 2, position_encoding=True)[0]
    for k, of_words in ((1, [1 / 2 + 1 / 2, 1 / 2]), (2, [1 / 3 + 1, 2 / 3])):
        np.testing.assert_allclose((weights[:2] - k / 2 * weights[2:]).numpy(), of_words, atol=1e-15)
    assert sentence_weights(ids, 2, position_encoding=False).tolist() == [[2.0, 1.0]]


def test_a_story_is_answered_the_same_in_a_wider_batch(questions: QuestionSet):
    """Padding of the batch has no part in an answer."""
    model = make()
    feed = Feed(questions, model, device=torch.device("cpu"))
    short, long = 0, 4  # one sentence and five
    together, _ = model(feed(np.array([[short, long]] * R)))
    alone, _ = model(feed(np.array([[short]] * R)))
    torch.testing.assert_close(together[:, :1], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("linear_start", [False, True])
def test_what_lies_in_an_empty_slot_does_not_matter(linear_start: bool, questions: QuestionSet):
    model = make()
    restarts = torch.full((R, 1, 1), linear_start) if linear_start else None
    asked = Feed(questions, model, device=torch.device("cpu"))(np.array([[0, 4]] * R))
    scores, attention = model(asked, restarts)
    other = torch.where(asked.filled, asked.stories, 3)
    assert not torch.equal(other, asked.stories)
    changed, _ = model(asked._replace(stories=other), restarts)
    assert torch.equal(changed, scores)
    assert all((weights[:, 0, :-1] == 0).all() for weights in attention)
    unmasked, _ = model(asked._replace(filled=torch.ones_like(asked.filled)), restarts)
    assert not torch.allclose(unmasked, scores)  # so that this test can fail


@pytest.mark.parametrize("tying", ["adjacent", "layerwise"])
def test_gradients_agree_with_finite_differences(tying: str, questions: QuestionSet, generator: torch.Generator):
    model = make(tying=tying)
    asked = Feed(questions, model, device=torch.device("cpu"))(np.array([[0, 4, 2]] * R))
    restarts = torch.tensor([True, False, False])[:, None, None]
    weigh = torch.randn(R, 3, V, generator=generator, dtype=torch.float64)

    def objective() -> torch.Tensor:
        scores: torch.Tensor = model(asked, restarts)[0]
        return (scores.log_softmax(-1) * weigh).sum()

    objective().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        for _ in range(4):
            at = tuple(int(torch.randint(size, (), generator=generator)) for size in parameter.shape)
            there, values = parameter.data[at].item(), []
            for step in (1e-6, -1e-6):
                parameter.data[at] = there + step
                values.append(objective().item())
            parameter.data[at] = there
            slope = (values[0] - values[1]) / 2e-6
            assert parameter.grad[at].item() == pytest.approx(slope, abs=1e-6, rel=1e-4), name


def test_a_restart_of_many_is_the_one_that_its_seed_gives():
    many, one = make(), MemoryAnswerer(AnswererConfig(hops=K, units=D, memory_size=S, init_std=0.7), V, 1).double()
    one.initialise(4)
    for ours, theirs in zip(many.parameters(), one.parameters(), strict=True):
        assert torch.equal(ours[1], theirs[0])
    many.extract(2, one)
    assert all(
        torch.equal(ours[2], theirs[0]) for ours, theirs in zip(many.parameters(), one.parameters(), strict=True)
    )


def test_parameter_count():
    assert make().parameter_count == 3 * (V + S) * D
    assert make(tying="layerwise").parameter_count == 4 * V * D + 2 * S * D + D * D
