"""Checkpoints: a round trip, the previous one where one is damaged, and one line for whatever is wrong with them."""

import errno
import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from memlm.config.models import MemN2NConfig
from memlm.errors import MemlmError
from memlm.models.base import LanguageModel
from memlm.models.build import build_initialised
from memlm.runs import checkpoint
from tests.helpers.faults import count_disk_calls, disk_calls, fail_disk_call

FILES = ("checkpoint.json", "model.safetensors", "training.safetensors")


def make(seed: int = 0, *, hops: int = 2, units: int = 4, tying: str = "layerwise") -> LanguageModel:
    config = MemN2NConfig(hops=hops, memory_size=3, units=units, tying=tying)
    return build_initialised(config, vocabulary_size=7, eos=0, seed=seed)


def save(folder: Path, step: int) -> None:
    checkpoint.save(folder, make(step), {"step": step}, training={"generator": torch.get_rng_state()})


@pytest.mark.parametrize("tying", ["layerwise", "adjacent"])
def test_a_round_trip_restores_every_parameter(tying: str, tmp_path: Path):
    saved, other = make(1, tying=tying), make(2, tying=tying)
    about = {"step": 3, "words": 'caf\u00e9 "x"'}
    checkpoint.save(tmp_path / "last", saved, about, training={"generator": torch.get_rng_state()})
    state = checkpoint.read(tmp_path / "last")
    checkpoint.fill(other, state)
    for ours, theirs in zip(other.parameters(), saved.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert (state.step, state.meta["words"], state.folder) == (3, 'caf\u00e9 "x"', tmp_path / "last")
    assert torch.equal(state.training["generator"], torch.get_rng_state())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last"]


def test_the_one_before_it_is_kept(tmp_path: Path):
    for step in (1, 2, 3):
        save(tmp_path / "last", step)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last", "last.previous"]
    assert checkpoint.read(tmp_path / "last").step == 3
    assert checkpoint.read_this(tmp_path / "last.previous").step == 2


def test_a_damaged_one_is_replaced_by_the_one_before_it_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    last = tmp_path / "last"
    for step in (1, 2):
        save(last, step)
    (last / "model.safetensors").write_bytes(b"")
    state = checkpoint.read(last)
    assert state.step == 1
    (line,) = caplog.messages
    assert f"{last / 'model.safetensors'} is damaged" in line
    assert f"the previous checkpoint, {last}.previous, is whole and is used instead" in line

    checkpoint.set_aside(last, state)
    save(last, 3)  # does not put the damaged one in the place of the whole one
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last", "last.damaged", "last.previous"]
    assert checkpoint.read(last).step == 3
    assert checkpoint.read_this(tmp_path / "last.previous").step == 1


def test_a_crash_between_the_renames_leaves_the_previous_one(tmp_path: Path):
    save(tmp_path / "last", 1)
    (tmp_path / "last").rename(tmp_path / "last.previous")
    shutil.copytree(tmp_path / "last.previous", tmp_path / "last.new")
    assert checkpoint.exists(tmp_path / "last")
    assert checkpoint.read(tmp_path / "last").step == checkpoint.step_of(tmp_path / "last") == 1
    save(tmp_path / "last", 2)
    assert checkpoint.read(tmp_path / "last").step == 2


@pytest.mark.soak
def test_no_damaged_file_loads_as_if_it_were_whole(
    rounds: Callable[[int, int], int], rng: np.random.Generator, tmp_path: Path
):
    """A file cut off at any byte, or with one bit changed, in any of the three; each refused by its name."""
    folder = tmp_path / "last"
    save(folder, 1)
    whole = {name: (folder / name).read_bytes() for name in FILES}
    trials = [(name, "cut", at) for name in FILES for at in range(len(whole[name]))]
    trials += [(name, "flip", at) for name in FILES for at in range(8 * len(whole[name]))]
    for i in rng.choice(len(trials), size=rounds(150, 2000), replace=False):
        name, damage, at = trials[i]
        data = bytearray(whole[name])
        if damage == "cut":
            del data[at:]
        else:
            data[at // 8] ^= 1 << at % 8
        (folder / name).write_bytes(data)
        with pytest.raises(MemlmError, match=re.escape(str(folder / name))) as error:
            checkpoint.read(folder)
        assert "\n" not in str(error.value)
        (folder / name).write_bytes(whole[name])
    assert checkpoint.read(folder).step == 1


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, tmp_path: Path):
    save(tmp_path / "last", 1)
    (tmp_path / "last" / name).unlink()
    with pytest.raises(MemlmError, match=f"{name} is missing"):
        checkpoint.read(tmp_path / "last")


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ('{"format": 99}', "has format 99, not 1 or 2: use the memlm that wrote it"),
        ('{"format": 2}', "is damaged: its contents do not match its sha256"),
        ("{", "is damaged: it is not JSON"),
        ("[" * 100_000, "is damaged: it is not JSON"),
        ("[]", "is damaged: it has no format"),
    ],
)
def test_damage_is_named(meta: str, message: str, tmp_path: Path):
    save(tmp_path / "last", 1)
    (tmp_path / "last" / "checkpoint.json").write_text(meta)
    with pytest.raises(MemlmError, match=message):
        checkpoint.read(tmp_path / "last")


def test_a_format_of_a_later_release_is_not_taken_for_damage(tmp_path: Path):
    for step in (1, 2):
        save(tmp_path / "last", step)
    (tmp_path / "last" / "checkpoint.json").write_text('{"format": 99}')
    with pytest.raises(MemlmError, match="has format 99"):
        checkpoint.read(tmp_path / "last")


def test_damage_in_the_first_format_which_had_no_hashes_is_named(tmp_path: Path):
    save(tmp_path / "last", 1)
    (tmp_path / "last" / "checkpoint.json").write_text(json.dumps({"format": 1, "step": 1}))
    assert checkpoint.read(tmp_path / "last").step == 1
    weights = tmp_path / "last" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(MemlmError, match=r"model\.safetensors is damaged: it is not a safetensors file"):
        checkpoint.read(tmp_path / "last")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (make(units=5), "'transition' is (4, 4), not (5, 5)"),
        (make(tying="adjacent", hops=3), "belongs to another model"),
    ],
)
def test_another_shape_is_named(other: LanguageModel, message: str, tmp_path: Path):
    save(tmp_path / "best", 1)
    before = [p.detach().clone() for p in other.parameters()]
    with pytest.raises(MemlmError, match=re.escape(message)):
        checkpoint.fill(other, checkpoint.read(tmp_path / "best"))
    assert all(torch.equal(a, b) for a, b in zip(before, other.parameters(), strict=True))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MemlmError, match="cannot save the checkpoint"):
        save(tmp_path / "file" / "best", 1)


@pytest.mark.parametrize("earlier", [1, 2])
def test_whatever_fails_while_it_is_saved_one_is_whole(
    earlier: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """The disk fills up at the n-th write, sync, rename or new folder, for every n."""
    caplog.set_level(logging.ERROR)
    for step in range(1, earlier + 1):
        save(tmp_path / "whole", step)
    calls = count_disk_calls(monkeypatch, lambda: save(tmp_path / "whole", 9))
    assert calls > 8
    for failing in range(calls):
        folder = tmp_path / str(failing) / "last"
        for step in range(1, earlier + 1):
            save(folder, step)
        with fail_disk_call(monkeypatch, failing, errno.ENOSPC), pytest.raises(MemlmError, match="No space left"):
            save(folder, 9)
        assert checkpoint.read(folder).step in (earlier, 9)
        assert not [path for path in folder.parent.iterdir() if path.name.endswith(".new")]
        save(folder, 10)
        assert checkpoint.read(folder).step == 10


def test_each_name_is_on_disk_before_the_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """First the files, then the folder that holds them, then the renames that put it into its place."""
    save(tmp_path / "last", 1)
    done = disk_calls(monkeypatch)
    save(tmp_path / "last", 2)
    written = [f"sync {name}" for name in ("model.safetensors", "training.safetensors", "checkpoint.json", "last.new")]
    renames = ["rename last to last.previous", "rename last.new to last"]
    assert done == [*written, *renames, f"sync {tmp_path.name}"]
    done.clear()
    checkpoint.restore_previous(tmp_path / "last")
    assert done == ["rename last.previous to last", f"sync {tmp_path.name}"]
