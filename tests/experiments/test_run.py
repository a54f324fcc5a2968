"""`memlm.train` and `memlm.resume`: what the command line does, from Python."""

import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import memlm as package
from memlm.config.models import LSTMConfig, MemN2NConfig
from memlm.config.run import Config
from memlm.errors import MemlmError
from memlm.runs.folder import RunFolder
from memlm.training.learner import Learner
from tests.helpers.command_line import SMALL, Memlm
from tests.helpers.outcome import outcome
from tests.helpers.questions import shorten_tasks

SETTINGS: dict[str, Any] = {"hops": 2, "memory_size": 8, "units": 12, "epochs": 2, "device": "cpu"}  # as SMALL
QUIET: dict[str, Any] = SETTINGS | {"quiet": True}
QUESTIONS: dict[str, Any] = {"restarts": 2, "epochs": 2, "linear_epochs": 1, "device": "cpu", "quiet": True}
OF_QUESTIONS = ("--restarts", 2, "--epochs", 2, "--linear-epochs", 1, "--device", "cpu")

pytestmark = pytest.mark.usefixtures("memlm")  # an empty folder


class After(package.Observer):
    """An observer that calls a function once so many epochs are done."""

    def __init__(self, epochs: int, call: Any) -> None:
        self.epochs, self.call = epochs, call

    def epoch(self, learner: Learner, metrics: dict[str, Any], best: bool) -> Any:
        return self.call() if learner.epoch == self.epochs else None


def stop_after(epochs: int) -> Any:
    return After(epochs, lambda: package.STOP)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def train(dataset: Path, run_dir: str = "run", **settings: Any) -> Any:
    return package.train("memn2n", dataset=dataset, run_dir=run_dir, **(QUIET | settings))


def refused(*what: Any, **settings: Any) -> str:
    """The one line of a refusal, which leaves nothing."""
    before = sorted(Path().rglob("*"))
    with pytest.raises(MemlmError) as error:
        package.train(*what, **({"quiet": True} | settings))
    assert len(str(error.value).splitlines()) == 1
    assert sorted(Path().rglob("*")) == before
    return str(error.value)


@pytest.mark.parametrize("restarts", [1, 2])
def test_it_does_what_the_command_line_does(restarts: int, memlm: Memlm, corpus: Path):
    result = memlm("train", "--dataset", corpus, *SMALL, "--restarts", restarts, "--run-dir", "a")
    assert result.exit_code == 0, result.output
    model = train(corpus, "b", restarts=restarts)
    assert outcome("b") == outcome("a")
    assert Path("b/config.toml").read_text() == Path("a/config.toml").read_text()
    assert repr(model) == f"<memlm model memn2n-2x8, b, best, step {model.step}>"
    assert model.evaluate("valid")["perplexity"] == outcome("a")["summary"]["valid_perplexity"]


def test_what_is_trained_is_a_recipe_a_model_a_config_or_a_run(corpus: Path):
    config = Config(dataset=str(corpus), model=MemN2NConfig(hops=2, memory_size=8, units=12))
    train(corpus, "by-name")
    package.train("demo-memn2n", dataset=corpus, run_dir="by-recipe", max_steps=1, **(QUIET | {"hops": 1}))
    package.train(config, run_dir="by-config", epochs=2, device="cpu", quiet=True)
    package.train("by-name", run_dir="by-run", quiet=True)
    package.train(Path("by-name"), run_dir="by-path", quiet=True)
    for path in ("by-config", "by-run", "by-path"):
        assert outcome(path) == outcome("by-name")
    of_recipe = RunFolder.open(Path("by-recipe")).manifest().text_config
    wanted: Any = package.recipe("demo-memn2n")
    assert (of_recipe.train.lr, of_recipe.train.max_steps) == (wanted.train.lr, 1)
    assert isinstance(of_recipe.model, MemN2NConfig)
    assert of_recipe.model.hops == 1


def test_a_models_name_on_a_text_is_the_language_model(memlm: Memlm, corpus: Path):
    """`lstm` is a recipe of questions too."""
    model = package.train("lstm", dataset=corpus, run_dir="a", units=6, max_steps=1, device="cpu", quiet=True)
    assert isinstance(model.config.model, LSTMConfig)
    line = ("--model", "lstm", "--units", 6, "--max-steps", 1, "--device", "cpu")
    assert memlm("train", "--dataset", corpus, *line, "--run-dir", "b").exit_code == 0
    assert outcome("a") == outcome("b")


def test_a_dataset_is_a_name_a_folder_a_file_or_texts(corpus: Path, monkeypatch: pytest.MonkeyPatch):
    texts = {split: (corpus / f"{split}.txt").read_text() for split in ("train", "valid", "test")}
    monkeypatch.setattr("memlm.data.dataset.CATALOG", {})
    train(corpus, "of-path")
    train(str(corpus), "of-folder")  # type: ignore[arg-type]
    train(package.texts(**{split: text.splitlines() for split, text in texts.items()}), "of-texts")  # type: ignore[arg-type]
    corpus.rename("ptb")
    train(Path("ptb"), "of-name")
    wanted = outcome("of-path")
    for path in ("of-folder", "of-texts", "of-name"):
        found = outcome(path)
        assert {key: found[key] for key in ("weights", "metrics")} == {
            key: wanted[key] for key in ("weights", "metrics")
        }
    Path("my.txt").write_text(texts["train"])
    train(Path("my.txt"), "of-file", split="80,10,10")
    assert RunFolder.open(Path("of-file")).manifest().text_config.data.split == "80,10,10"
    assert RunFolder.open(Path("of-file")).manifest().text_config.dataset == str(Path("my.txt").resolve())


def test_what_can_not_be_trained_is_said_in_a_line_and_leaves_nothing(corpus: Path):
    assert "unknown setting of memn2n 'hop': did you mean 'hops'?" in refused("memn2n", dataset=corpus, hop=3)
    assert "unknown recipe 'memn3n': did you mean 'memn2n'?" in refused("memn3n", dataset=corpus)
    assert "epochs is 'two'; it must be int" in refused("memn2n", dataset=corpus, epochs="two")
    assert "memn2n can't be trained on babi: its data is a text" in refused("memn2n", dataset="babi")
    assert "memn2n-qa can't be trained on" in refused("pe-ls-rn", dataset=corpus)
    assert "memn2n-qa can't be trained on" in refused("memn2n-qa", dataset=corpus)
    assert "unknown dataset 'nowhere'" in refused("memn2n", dataset="nowhere")
    assert "no file or folder" in refused("memn2n", dataset="no/where")
    assert "is no observer" in refused("memn2n", dataset=corpus, callbacks=[print], **SETTINGS)
    assert "is no observer" in refused("kneser-ney", dataset=corpus, callbacks=[print])
    assert "task is 'one'; it must be a task's number" in refused("pe-ls-rn", dataset="babi", task="one")
    assert "babi has no task 21" in refused("pe-ls-rn", dataset="babi", task=21)


def test_a_folder_with_a_run_in_it_or_in_use_is_refused(corpus: Path):
    train(corpus)
    before = outcome("run")
    assert "run holds a run" in refused("memn2n", dataset=corpus, run_dir="run", **SETTINGS)
    with RunFolder(Path("run")).locked():
        assert "run is in use by process" in refused(
            "memn2n", dataset=corpus, run_dir="run", overwrite=True, **SETTINGS
        )
        with pytest.raises(MemlmError, match="run is in use by process"):
            package.resume("run", epochs=3, quiet=True)
    assert outcome("run") == before
    train(corpus, overwrite=True, seed=2)
    assert outcome("run")["weights"] != before["weights"]


def test_it_is_quiet_or_says_what_the_command_line_says(
    memlm: Memlm, corpus: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    train(corpus, "quiet")
    package.train("kneser-ney", dataset=corpus, run_dir="quiet-counts", quiet=True)
    assert capfd.readouterr() == ("", "")
    train(corpus, "run-b", quiet=False)
    package.train("kneser-ney", dataset=corpus, run_dir="counts-b")
    said, errors = capfd.readouterr()
    assert errors == ""
    wanted = memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "run-a").stdout
    wanted += memlm("train", "--dataset", corpus, "--model", "kneser-ney", "--run-dir", "counts-a").stdout
    assert _without_times(said.replace("run-b", "run-a").replace("counts-b", "counts-a")) == _without_times(wanted)
    assert len(wanted.splitlines()) > 10


def _without_times(output: str) -> list[list[str]]:
    """The words of the lines, those of an epoch but for its tokens per second and its time."""
    lines = [line.split() for line in output.splitlines()]
    return [words[:5] + words[7:] if re.fullmatch(r"\d+", words[0]) and len(words) > 6 else words for words in lines]


@pytest.mark.parametrize("task", [1, "1"])
def test_questions_are_answered(task: int | str, memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    shorten_tasks(monkeypatch)
    model = package.train("pe-ls-rn", dataset="stories-qa", task=task, run_dir="a", **QUESTIONS)
    answer = model.ask("Hugo went to the garden.", "Where is Hugo?")
    assert answer.answer in model.models[1].words
    line = ("train", "--dataset", "stories-qa", "--recipe", "pe-ls-rn", "--task", 1, *OF_QUESTIONS)
    assert memlm(*line, "--run-dir", "b").exit_code == 0
    assert outcome("a") == outcome("b")


@pytest.mark.parametrize("joint", [False, True])
def test_all_tasks_are_those_of_the_command_line(joint: bool, memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    shorten_tasks(monkeypatch)
    package.train("memn2n-qa", dataset="stories-qa", joint=joint, run_dir="a", **QUESTIONS)
    line = ("train", "--dataset", "stories-qa", *OF_QUESTIONS, *(["--joint"] if joint else []))
    assert memlm(*line, "--run-dir", "b").exit_code == 0
    assert Path("a/config.toml").read_text() == Path("b/config.toml").read_text()
    assert outcome("a")["summary"] == outcome("b")["summary"]


def test_a_stopped_run_goes_on_to_the_same_end(corpus: Path):
    train(corpus, "whole", epochs=4)
    stopped = train(corpus, "broken", epochs=4, callbacks=[stop_after(2)])
    assert (stopped.checkpoint, stopped.config.train.epochs) == ("best", 4)
    assert not Path("broken/summary.json").exists()
    assert package.resume("broken", quiet=True).step == package.load("whole").step
    assert outcome("broken") == outcome("whole")
    with pytest.raises(MemlmError, match=r"broken has finished \(epochs\)"):
        package.resume("broken", quiet=True)


def test_a_run_that_is_stopped_before_its_first_epoch_gives_its_last_state(corpus: Path):
    class Never(package.Observer):
        def began(self, *what: Any) -> Any:
            return package.STOP

    model = train(corpus, "broken", callbacks=[Never()])
    assert (model.checkpoint, model.step) == ("last", 0)
    assert train(corpus, "restarts", restarts=2, callbacks=[Never()]) is None
    train(corpus, "whole")
    package.resume("broken", quiet=True)
    assert outcome("broken") == outcome("whole")


@pytest.mark.parametrize("task", ["1", "all"])
def test_stopped_questions_go_on_to_the_same_end(task: str, monkeypatch: pytest.MonkeyPatch):
    """At the last epoch of a task as well, after which another one follows."""
    shorten_tasks(monkeypatch)
    settings = QUESTIONS | {"dataset": "stories-qa", "task": task, "linear_start": "fixed"}
    package.train("pe-ls-rn", run_dir="whole", **settings)
    last = 3  # one of the linear start, and two
    epochs = last if task == "all" else 2
    assert package.train("pe-ls-rn", run_dir="broken", callbacks=[stop_after(epochs)], **settings) is None
    if task == "all":
        assert [path.parent.name for path in Path("broken").glob("task-*/config.toml")] == ["task-1"]
    package.resume("broken", quiet=True)
    assert outcome("broken") == outcome("whole")


def test_changes_on_resume_must_be_safe(corpus: Path, monkeypatch: pytest.MonkeyPatch):
    train(corpus)
    before = outcome("run")
    unsafe: dict[str, Any] = {"lr": 0.5, "hops": 3, "dataset": "ptb"}
    for name, value in unsafe.items():
        with pytest.raises(
            MemlmError, match=f"^{name} can't be changed when a run is resumed: only epochs, max_steps"
        ):
            package.resume("run", quiet=True, **{name: value})
    with pytest.raises(MemlmError, match=r"^nowhere does not exist"):
        package.resume("nowhere")
    with pytest.raises(MemlmError, match="is no observer"):
        package.resume("run", epochs=3, callbacks=[print])  # type: ignore[list-item]
    assert outcome("run") == before
    package.resume("run", epochs=3, quiet=True)
    train(corpus, "whole", epochs=3)
    assert outcome("run") == outcome("whole")


def test_ctrl_c_saves_and_interrupts(corpus: Path, capsys: pytest.CaptureFixture[str]):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    earlier = [signal.getsignal(number) for number in numbers]
    with pytest.raises(KeyboardInterrupt):
        train(corpus, "broken", epochs=3, callbacks=[After(2, interrupt)], quiet=False)
    assert [signal.getsignal(number) for number in numbers] == earlier
    assert "memlm train --resume broken" in capsys.readouterr().out
    with pytest.raises(KeyboardInterrupt):
        package.resume("broken", quiet=True, epochs=4, callbacks=[After(3, interrupt)])
    assert [signal.getsignal(number) for number in numbers] == earlier
    package.resume("broken", quiet=True)
    assert [signal.getsignal(number) for number in numbers] == earlier
    train(corpus, "whole", epochs=4)
    assert outcome("broken") == outcome("whole")


def test_an_error_restores_the_signals_and_lets_go_of_the_folder(corpus: Path):
    earlier = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)]

    def fail() -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        train(corpus, callbacks=[After(1, fail)])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)] == earlier
    assert not Path("run/lock").exists()


def test_it_works_in_another_thread(corpus: Path):
    """Where no handler of a signal may be set."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(train(corpus, "of-thread")))
    thread.start()
    thread.join()
    train(corpus, "whole")
    assert found[0].step == package.load("whole").step
    assert outcome("of-thread") == outcome("whole")
