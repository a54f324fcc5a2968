"""Runs of language models: from settings and a text to summary.json."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from memlm.config.run import Config
from memlm.errors import MemlmError
from memlm.evaluation.records import EVALUATIONS
from memlm.experiments import text_run
from memlm.inference.load import load_text
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder
from tests.helpers.training import MEMORY, RECURRENT, Ask, after_calls, with_train

pytestmark = pytest.mark.usefixtures("memlm")  # an empty folder


@pytest.fixture
def config(corpus: Path) -> Config:
    return dataclasses.replace(MEMORY, dataset=str(corpus))


def run_of(config: Config, path: str, stop: Any = lambda: False) -> tuple[text_run.TextRun, dict[str, Any] | None]:
    with text_run.start(config, Path(path), overwrite=False) as ready:
        return ready, ready.train([], Ask(stop))


def test_the_summary_is_of_the_best_state_and_agrees_with_what_is_kept(config: Config):
    ready, summary = run_of(config, "run")
    assert summary is not None
    assert summary == json.loads(Path("run/summary.json").read_text())
    lines = ready.run.metrics()
    best = min(lines, key=lambda line: line["valid_perplexity"])
    assert (summary["best_epoch"], summary["train_perplexity"]) == (best["epoch"], best["train_perplexity"])
    assert (summary["epochs"], summary["steps"], summary["finished"]) == (3, lines[-1]["step"], "epochs")
    assert summary["seconds"] == sum(line["seconds"] for line in lines)
    assert summary["valid_perplexity"] == pytest.approx(best["valid_perplexity"])
    kept = ready.run.read_json(EVALUATIONS)
    for split in ("valid", "test"):
        figure = summary[f"{split}_perplexity"]
        assert figure == kept[f"{split}/exact/best"]["perplexity"] == ready.passports[split]["perplexity"]
        assert load_text("run").evaluate(split)["perplexity"] == figure
    assert summary["parameters"] == ready.learner.model.parameter_count
    assert "restarts" not in summary


def test_restarts_are_in_the_summary_with_their_mean(config: Config):
    _, summary = run_of(with_train(config, restarts=2, seed=3), "run")
    assert summary is not None
    assert [restart["seed"] for restart in summary["restarts"]] == [3, 4]
    found = {restart["seed"]: restart["valid_perplexity"] for restart in summary["restarts"]}
    assert summary["seed"] == min(found, key=lambda seed: found[seed])
    assert summary["valid_perplexity_mean"] == pytest.approx(sum(found.values()) / 2)


@pytest.mark.parametrize("dataset", ["corpus", "corpus/"])
def test_a_run_without_a_folder_is_named_after_its_text_and_model(dataset: str, config: Config):
    config = dataclasses.replace(config, dataset=str(Path(config.dataset).parent / dataset))
    with text_run.start(config, None, overwrite=False) as ready:
        assert ready.run.path == Path("runs/corpus-memn2n-2x8")
        environment = ready.run.environment()
    assert (environment["device"], environment["precision"]) == ("cpu", "float32")
    assert environment["data_sha256"] == ready.data.sha256


def test_a_stopped_run_has_no_summary_and_ends_as_the_whole_one(config: Config):
    _, whole = run_of(config, "whole")
    _, stopped = run_of(config, "run", after_calls(20))
    assert stopped is None
    assert not Path("run/summary.json").exists()
    with text_run.resume(RunFolder.open(Path("run")), {"epochs": 3}) as ready:
        assert ready.learner.steps > 0
        found = ready.train([], Ask())
    assert found is not None
    assert whole is not None
    assert found | {"seconds": 0} == whole | {"seconds": 0}
    with pytest.raises(MemlmError, match=r"run has finished \(epochs\)"), text_run.resume(RunFolder(Path("run")), {}):
        pass


def test_a_stop_while_the_end_is_scored_is_made_up_for(config: Config):
    """All steps are done; the best state is evaluated anew."""
    _, whole = run_of(config, "whole")
    with text_run.start(config, Path("run"), overwrite=False) as ready:
        assert ready.train([], Ask(lambda: ready.learner.finished != "")) is None
    assert not Path("run/summary.json").exists()
    with text_run.resume(RunFolder.open(Path("run")), {}) as again:
        steps = again.learner.steps
        found = again.train([], Ask())
    assert found is not None
    assert whole is not None
    assert found["steps"] == steps
    assert found | {"seconds": 0} == whole | {"seconds": 0}


def test_what_changes_on_resume_is_written_and_its_text_is_the_one_it_began_with(config: Config, corpus: Path):
    run_of(config, "run")
    with text_run.resume(RunFolder.open(Path("run")), {"epochs": 4}) as ready:
        assert ready.config.train.epochs == 4
    assert RunFolder.open(Path("run")).manifest().text_config.train == with_train(config, epochs=4).train
    assert len(ready.run.environment()["resumed"]) == 1
    (corpus / "valid.txt").write_text("a0 b0 c0 d\n")
    with (
        pytest.raises(MemlmError, match=r"the valid text of .* is not the one that run was trained on"),
        text_run.resume(RunFolder.open(Path("run")), {"epochs": 5}),
    ):
        pass


def test_a_memory_as_large_as_the_text_is_refused(config: Config):
    tokens = 120 * 5
    for size, refused in ((tokens - 1, False), (tokens, True)):
        large = dataclasses.replace(config, model=config.model.replace({"memory_size": size}))
        if refused:
            message = (
                f"memory_size is {tokens}, but the training split of .* has only {tokens} tokens: it must be smal"
            )
            with pytest.raises(MemlmError, match=message), text_run.start(large, Path("large"), overwrite=False):
                pass
        else:
            with text_run.start(large, Path("run"), overwrite=False):
                assert Path("run/config.toml").exists()
    assert not Path("large").exists()


def test_a_run_without_a_checkpoint_starts_again(corpus: Path):
    config = dataclasses.replace(RECURRENT, dataset=str(corpus))
    with text_run.start(config, Path("run"), overwrite=False) as ready:
        assert not checkpoint.exists(ready.run.last)
    with text_run.resume(RunFolder.open(Path("run")), {}) as again:
        assert again.learner.steps == 0
        summary = again.train([], Ask())
    _, whole = run_of(config, "whole")
    assert summary is not None
    assert whole is not None
    assert summary | {"seconds": 0} == whole | {"seconds": 0}
