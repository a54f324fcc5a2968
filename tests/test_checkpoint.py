"""Checkpoints: a round trip, and one line for whatever is wrong with them."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from memlm import checkpoint
from memlm.config import MemN2NConfig
from memlm.errors import MemlmError
from memlm.models import LanguageModel, build


def make(seed: int = 0, *, hops: int = 2, units: int = 4, tying: str = "layerwise") -> LanguageModel:
    config = MemN2NConfig(hops=hops, memory_size=3, units=units, tying=tying)
    return build(config, vocabulary_size=7, eos=0, seed=seed)


@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_a_round_trip_restores_every_parameter(tying: str, tmp_path: Path):
    saved, other = make(1, tying=tying), make(2, tying=tying)
    checkpoint.save(tmp_path / "last", saved, {"epoch": 3}, training={"generator": torch.get_rng_state()})
    checkpoint.load_parameters(tmp_path / "last", other)
    for ours, theirs in zip(other.parameters(), saved.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert checkpoint.load_meta(tmp_path / "last")["epoch"] == 3
    assert torch.equal(checkpoint.load_training(tmp_path / "last")["generator"], torch.get_rng_state())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last"]


def test_a_crash_between_the_renames_leaves_the_previous_one(tmp_path: Path):
    checkpoint.save(tmp_path / "last", make(1), {"epoch": 1})
    (tmp_path / "last").rename(tmp_path / "last.previous")
    shutil.copytree(tmp_path / "last.previous", tmp_path / "last.new")
    assert checkpoint.load_meta(tmp_path / "last")["epoch"] == 1
    checkpoint.save(tmp_path / "last", make(1), {"epoch": 2})
    assert checkpoint.load_meta(tmp_path / "last")["epoch"] == 2


def test_damage_is_named(tmp_path: Path):
    folder = tmp_path / "best"
    checkpoint.save(folder, make(), {"epoch": 1})
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(MemlmError, match=r"model\.safetensors is damaged"):
        checkpoint.load_parameters(folder, make())
    (folder / "checkpoint.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(MemlmError, match="has format 99, not 1"):
        checkpoint.load_meta(folder)
    (folder / "checkpoint.json").write_text("{")
    with pytest.raises(MemlmError, match="is damaged: it is not JSON"):
        checkpoint.load_meta(folder)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (make(units=5), "'transition' is (4, 4), not (5, 5)"),
        (make(tying="adjacent", hops=3), "is of another model"),
    ],
)
def test_another_shape_is_named(other: LanguageModel, message: str, tmp_path: Path):
    checkpoint.save(tmp_path / "best", make(), {"epoch": 1})
    before = [p.detach().clone() for p in other.parameters()]
    with pytest.raises(MemlmError, match=re.escape(message)):
        checkpoint.load_parameters(tmp_path / "best", other)
    assert all(torch.equal(a, b) for a, b in zip(before, other.parameters(), strict=True))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MemlmError, match="cannot save the checkpoint"):
        checkpoint.save(tmp_path / "file" / "best", make(), {})
