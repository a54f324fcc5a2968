"""Drawing words, and `memlm generate`."""

import json

import pytest
import torch

import memlm as package
from memlm.config.sampling import Sampling
from memlm.inference.generate import draw_token
from tests.helpers.command_line import Memlm

P = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15], dtype=torch.float64)


def shares(sampling: Sampling, *, never: int | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    drawn = torch.tensor([draw_token(P.log(), sampling, generator, never=never) for _ in range(4000)])
    return torch.bincount(drawn, minlength=5) / 4000


@pytest.mark.parametrize(
    ("sampling", "never", "expected"),
    [
        (Sampling(), None, P),
        (Sampling(top_k=2), None, [0, 4 / 7, 0, 3 / 7, 0]),
        (Sampling(top_p=0.6), None, [0, 4 / 7, 0, 3 / 7, 0]),
        (Sampling(top_p=0.71), None, [0, 4 / 8.5, 0, 3 / 8.5, 1.5 / 8.5]),
        (Sampling(top_p=1e-9), None, [0, 1, 0, 0, 0]),
        (Sampling(temperature=0), None, [0, 1, 0, 0, 0]),
        (Sampling(temperature=0.5), None, P**2 / (P**2).sum()),
        (Sampling(temperature=1e-9), None, [0, 1, 0, 0, 0]),
        (Sampling(temperature=1e-310), None, [0, 1, 0, 0, 0]),
        (Sampling(), 1, [1 / 6, 0, 1 / 12, 1 / 2, 1 / 4]),
    ],
)
def test_words_are_drawn_by_the_distribution(sampling: Sampling, never: int | None, expected: object):
    torch.testing.assert_close(
        shares(sampling, never=never), torch.as_tensor(expected, dtype=torch.float32), atol=0.03, rtol=0
    )


def test_the_likeliest_words_are_those_that_the_model_expects(trained: package.TrainedModel):
    drawn = list(trained.generate("a0 b0", Sampling(words=6, temperature=0), seed=1))
    context = "a0 b0"
    for word, log_p, _ in drawn:
        ((best, p),) = [pair for pair in trained.next_word(context).top(2) if pair[0] != "<unk>"][:1]
        assert word == best
        assert torch.tensor(log_p).exp() == pytest.approx(p, rel=1e-4)
        context += "\n" if word == "<eos>" else f" {word}" if context[-1:] not in ("", "\n") else word


def test_a_seed_draws_the_same_text_again(trained: package.TrainedModel, memlm: Memlm):
    command = ("generate", "runs/a", "--prompt", "a0", "--words", 30, "--temperature", 5, "--samples", 2)
    first = memlm(*command, "--seed", 3)
    assert first.exit_code == 0, first.output
    assert memlm(*command, "--seed", 3).output == first.output
    assert memlm(*command, "--seed", 4).output != first.output
    assert "<eos>" not in first.output
    assert "<unk>" not in first.output
    assert first.output.splitlines()[0] == "# sample 1, seed 3"
    assert first.output.splitlines()[1].startswith("a0")
    one = json.loads(memlm(*command, "--seed", 3, "--json").output.splitlines()[1])
    assert one["seed"] == 4
    assert len(one["words"]) == 30
    assert one["log_probability"] < 0
    assert "<unk>" in memlm(*command, "--seed", 3, "--unknown", "--words", 300).output


@pytest.mark.usefixtures("trained")
def test_seed_0_is_a_seed(memlm: Memlm):
    command = ("generate", "runs/a", "--words", 30, "--temperature", 5, "--seed", 0, "--json")
    first = memlm(*command)
    assert json.loads(first.output)["seed"] == 0
    assert memlm(*command).output == first.output
    assert memlm(*command[:-2], 1, "--json").output != first.output


def test_settings_that_make_no_sense_are_refused(memlm: Memlm):
    result = memlm("generate", "runs/a", "--top-p", 0)
    assert result.exit_code == 2
    assert "top_p is 0.0; it must be above 0" in result.stderr
