"""TensorBoard shows a run's curves and pictures, without points that are doubled by a resume."""

from collections import Counter
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.test_cli import SMALL, Memlm


def curves(run: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return accumulator


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
