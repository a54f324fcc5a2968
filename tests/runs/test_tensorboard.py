"""TensorBoard shows a run's curves and pictures, without points that are doubled by a resume."""

import errno
from collections import Counter
from pathlib import Path

import pytest

from memlm.errors import MemlmError
from memlm.runs.tensorboard import EventWriter
from tests.helpers.command_line import SMALL, Memlm
from tests.helpers.faults import fail_disk_call
from tests.helpers.tensorboard import curves


def test_curves_and_hyperparameters_are_there(memlm: Memlm, corpus: Path):
    result = memlm("train", "--dataset", corpus, *SMALL, "--batch-size", 16, "--run-dir", "runs/a")
    assert result.exit_code == 0, result.output
    events = curves(Path("runs/a"))
    tags = set(events.Tags()["scalars"])
    for name in (
        "perplexity",
        "lr",
        "grad_norm",
        "clipped_fraction",
        "parameter_norm",
        "update_norm",
        "tokens_per_second",
    ):
        assert f"step/{name}" in tags
    for name in ("train_perplexity", "valid_perplexity", "lr", "grad_norm", "clipped_fraction", "seconds"):
        assert f"epoch/{name}" in tags
    assert {"final/valid_perplexity", "final/test_perplexity"} <= tags
    assert [event.step for event in events.Scalars("epoch/valid_perplexity")] == [1, 2]
    assert "_hparams_/experiment" in events.summary_metadata
    assert [path.name for path in Path("runs").iterdir()] == ["a"]  # one run, not one more for its hyperparameters


def test_a_resumed_run_has_no_point_twice(memlm: Memlm, corpus: Path):
    assert memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/a").exit_code == 0
    assert memlm("train", "--resume", "runs/a", "--epochs", 5).exit_code == 0
    for tag in ("epoch/valid_perplexity", "step/perplexity", "final/test_perplexity"):
        steps = Counter(event.step for event in curves(Path("runs/a")).Scalars(tag))
        assert set(steps.values()) == {1}, tag
    assert len(curves(Path("runs/a")).Scalars("epoch/valid_perplexity")) == 5


def test_each_epoch_has_a_picture_of_its_attention(memlm: Memlm, corpus: Path):
    assert memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/a").exit_code == 0
    assert memlm("train", "--resume", "runs/a", "--epochs", 3).exit_code == 0
    images = curves(Path("runs/a")).Images("epoch/attention")
    assert [image.step for image in images] == [1, 2, 3]
    assert all(image.encoded_image_string.startswith(b"\x89PNG") for image in images)
    assert len({image.encoded_image_string for image in images}) == 3
    assert {(image.width, image.height) for image in images} == {(800, images[0].height)}
    assert memlm("train", "--dataset", corpus, "--model", "lstm", "--epochs", 1, "--run-dir", "runs/b").exit_code == 0
    assert curves(Path("runs/b")).Tags()["images"] == []


def test_points_wait_while_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No half of a point is written and none is lost; that they can't be written is said at the end."""
    points = EventWriter(tmp_path)
    points.add_scalars("step", {"loss": 1.0}, 10)
    with fail_disk_call(monkeypatch, 0, errno.ENOSPC):
        points.add_scalars("step", {"loss": 2.0}, 20)
        with pytest.raises(MemlmError, match="No space left on device; only the latest points of the curves are lost"):
            points.close()
    assert [event.step for event in curves(tmp_path).Scalars("step/loss")] == [10]
    points.add_scalars("step", {"loss": 3.0}, 30)
    points.close()
    assert [event.step for event in curves(tmp_path).Scalars("step/loss")] == [10, 20, 30]


def test_points_after_the_state_that_is_gone_back_to_are_dropped(tmp_path: Path):
    first = EventWriter(tmp_path)
    for step in (10, 20, 30, 40):
        first.add_scalars("step", {"loss": float(step)}, step)
    for epoch in (1, 2):
        first.add_scalars("epoch", {"loss": float(epoch)}, epoch)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-3])  # killed while it wrote
    again = EventWriter(tmp_path, step=30, epoch=1)
    again.add_scalars("step", {"loss": 41.0}, 40)
    again.add_scalars("epoch", {"loss": 22.0}, 2)
    found = curves(tmp_path)
    assert [(event.step, event.value) for event in found.Scalars("step/loss")] == [
        (10, 10.0),
        (20, 20.0),
        (30, 30.0),
        (40, 41.0),
    ]
    assert [(event.step, event.value) for event in found.Scalars("epoch/loss")] == [(1, 1.0), (2, 22.0)]
    assert len(list(tmp_path.iterdir())) == 1
