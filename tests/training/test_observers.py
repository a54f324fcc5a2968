"""What a run's folder shows in TensorBoard: curves by step and by epoch, pictures, and results."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from memlm.config.run import Config
from memlm.data import dataset
from memlm.data.dataset import TextDataset
from memlm.experiments.text_run import TextRun
from memlm.runs.folder import RunFolder
from memlm.training.observers import AttentionPictures, TensorBoard, results_of
from tests.helpers.tensorboard import curves
from tests.helpers.training import MEMORY, RECURRENT, Ask, after_calls, reopen, run_fit, start, with_train


@pytest.fixture
def data(corpus: Path) -> TextDataset:
    return dataset.load_dataset(str(corpus))


def scalars(run: RunFolder, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in curves(run.path).Scalars(name)]


def test_curves_are_by_epoch_with_the_values_of_the_metrics(data: TextDataset, tmp_path: Path):
    learner, run = start(MEMORY, data, tmp_path / "run")
    run_fit(learner, run)
    for name in ("valid_perplexity", "train_perplexity", "lr"):
        found = scalars(run, f"epoch/{name}")
        assert [epoch for epoch, _ in found] == [1, 2, 3]
        assert [value for _, value in found] == pytest.approx([line[name] for line in run.metrics()])
    tags = curves(run.path).Tags()["scalars"]
    assert "epoch/epoch" not in tags
    assert "epoch/step" not in tags


def test_points_are_by_step_and_none_comes_twice_after_a_stop(data: TextDataset, tmp_path: Path):
    config = with_train(MEMORY, log_every=5)
    learner, run = start(config, data, tmp_path / "whole")
    run_fit(learner, run)
    wanted = scalars(run, "step/perplexity")
    steps = [step for step, _ in wanted]
    assert steps == sorted(set(steps))
    assert steps[:2] == [5, 10]
    learner, broken = start(config, data, tmp_path / "broken")
    assert run_fit(learner, broken, after_calls(13)) == "stopped"
    resumed = reopen(config, data)
    resumed.load(broken)
    run_fit(resumed, broken)
    assert scalars(broken, "step/perplexity") == wanted
    assert scalars(broken, "epoch/valid_perplexity") == scalars(run, "epoch/valid_perplexity")


@pytest.mark.parametrize("config", [MEMORY, RECURRENT], ids=["memn2n", "lstm"])
def test_a_memory_has_a_picture_of_its_attention_per_epoch(config: Config, data: TextDataset, tmp_path: Path):
    learner, run = start(config, data, tmp_path / "run")
    run_fit(learner, run)
    seen = curves(run.path)
    if config is RECURRENT:
        assert not seen.Tags()["images"]
    else:
        assert [picture.step for picture in seen.Images("epoch/attention")] == [1, 2, 3]


def test_a_picture_is_for_models_of_text_alone():
    board = TensorBoard(Config())
    board.writer = Any  # type: ignore[assignment]  # which would fail if it were used
    learner: Any = object()
    AttentionPictures(board).epoch(learner, {}, True)


def test_at_the_end_there_are_the_settings_with_the_results(data: TextDataset, tmp_path: Path, corpus: Path):
    config = dataclasses.replace(MEMORY, dataset=str(corpus))
    learner, run = start(config, data, tmp_path / "run")
    summary = TextRun(run=run, config=config, data=data, learner=learner).train([], Ask())
    assert summary is not None
    for name, value in results_of(summary).items():
        assert [found for _, found in scalars(run, f"final/{name}")] == [pytest.approx(value)]
    assert {"valid_perplexity", "test_perplexity"} <= set(results_of(summary))


def test_results_are_the_final_figures_of_a_summary():
    text = {
        "valid_perplexity": 3.0,
        "test_bits_per_character": 1.5,
        "train_perplexity": 2.0,
        "test_tokens": 4,
        "lr": 1,
    }
    assert results_of(text) == {"valid_perplexity": 3.0, "test_bits_per_character": 1.5}
    questions: dict[str, Any] = {"mean_error": 4.0, "tasks": {"1": 3.0, "2": 5.0}, "failed_tasks": 0}
    assert results_of(questions) == {"mean_error": 4.0, "test_error_task_1": 3.0, "test_error_task_2": 5.0}
