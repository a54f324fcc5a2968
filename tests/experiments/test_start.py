"""Runs that start from the weights of another: `--init-from`, and `init_from` of `memlm.train`."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import memlm as package
from memlm.errors import MemlmError
from memlm.runs import checkpoint
from tests.helpers.command_line import SMALL, Memlm, refused
from tests.helpers.outcome import outcome, perplexities
from tests.helpers.questions import shorten_tasks

QUESTIONS: dict[str, Any] = {"restarts": 2, "epochs": 2, "linear_start": "no", "device": "cpu", "quiet": True}
STOP_AT_ONCE: Any = type("Stop", (), {"began": lambda self, learner, run: package.STOP})()


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A folder with a text that is much like the corpus, and has words that it lacks."""
    folder = tmp_path / "other"
    folder.mkdir()
    for split, lines in (("train", 60), ("valid", 20), ("test", 20)):
        text = "".join(f"a{i % 3} b{i % 5} {'new' if i % 4 == 0 else f'c{i % 3}'} d\n" for i in range(lines))
        (folder / f"{split}.txt").write_text(text)
    return folder


def trained(memlm: Memlm, dataset: Path, *options: object, run_dir: str = "first") -> None:
    result = memlm("train", "--dataset", dataset, *SMALL, "--lr", 0.05, *options, "--run-dir", run_dir)
    assert result.exit_code == 0, result.output


def started(memlm: Memlm, *options: object, run_dir: str = "second") -> None:
    result = memlm("train", "--init-from", "first", *options, "--run-dir", run_dir)
    assert result.exit_code == 0, result.output


@pytest.fixture
def first(memlm: Memlm, corpus: Path) -> Path:
    """A run that has learnt the corpus."""
    trained(memlm, corpus, "--epochs", 10)
    return Path("first")


def test_it_begins_with_the_weights_and_the_vocabulary_of_the_run(first: Path, memlm: Memlm, other: Path):
    trained(memlm, other, run_dir="scratch")
    started(memlm, "--dataset", other, "--epochs", 2)
    assert perplexities("second")[0] < 0.8 * perplexities("scratch")[0]
    assert Path("second/vocab.txt").read_bytes() == (first / "vocab.txt").read_bytes()
    model = package.load("second")
    assert "new" not in model.vocabulary
    assert model.evaluate("test")["oov"] == 5  # every fourth of 20 lines
    best = checkpoint.read(first / "best")
    noted = json.loads(Path("second/env.json").read_text())["init_from"]
    assert noted == {
        "run": str(first.resolve()),
        "step": best.step,
        "sha256": best.meta["files"]["model.safetensors"],
    }


def test_before_the_first_step_it_is_the_model_of_the_run(first: Path, corpus: Path):
    """Not of its last state, but of its best."""
    package.train("first", init_from="first", run_dir="second", callbacks=[STOP_AT_ONCE], quiet=True)
    assert package.load("second", checkpoint="last").evaluate("valid")["nats"] == pytest.approx(
        package.load("first").evaluate("valid")["nats"]
    )


def test_python_does_what_the_command_line_does(first: Path, memlm: Memlm, other: Path):
    started(memlm, "--dataset", other, "--epochs", 2, "--lr", 0.02)
    package.train("first", dataset=other, init_from="first", run_dir="third", epochs=2, lr=0.02, quiet=True)
    assert outcome("second") == outcome("third")


def test_restarts_all_begin_there(first: Path, memlm: Memlm, other: Path):
    started(memlm, "--dataset", other, "--restarts", 2, "--epochs", 1)
    trained(memlm, other, "--restarts", 2, run_dir="scratch")
    summary = json.loads(Path("second/summary.json").read_text())
    scratch = perplexities("scratch")[0]
    assert all(restart["valid_perplexity"] < 0.8 * scratch for restart in summary["restarts"])
    assert len({restart["valid_perplexity"] for restart in summary["restarts"]}) == 2  # of other orders of the text


@pytest.mark.parametrize(
    "options",
    [
        ("--level", "char"),
        ("--tokenizer", "sentencepiece", "--vocab-size", 270),
        ("--lowercase",),
        ("--min-count", 30),
    ],
)
def test_a_text_is_cut_as_the_run_does(options: tuple[object, ...], memlm: Memlm, corpus: Path, other: Path):
    trained(memlm, corpus, *options)
    started(memlm, "--dataset", other, "--epochs", 1, "--lr", 1e-9)  # which leaves the weights as they are
    for name in ("vocab.txt", "tokenizer.model"):
        if Path("first", name).exists():
            assert Path("second", name).read_bytes() == Path("first", name).read_bytes()
    assert package.load("second").config.data == package.load("first").config.data
    of_first = package.load("first").evaluate_text(other / "valid.txt")["perplexity"]
    assert perplexities("second") == [pytest.approx(of_first, rel=1e-4)]


def test_a_file_has_a_split_of_its_own(first: Path, memlm: Memlm, corpus: Path):
    Path("my.txt").write_text((corpus / "train.txt").read_text())
    started(memlm, "--dataset", "my.txt", "--split", "70,20,10", "--epochs", 1)
    assert package.load("second").config.data.split == "70,20,10"
    started(memlm, "--dataset", "my.txt", "--epochs", 1, run_dir="third")
    assert package.load("third").config.data.split == "90,5,5"


def test_a_stopped_run_goes_on_to_the_same_end(first: Path, other: Path):
    settings: dict[str, Any] = {"dataset": other, "init_from": "first", "epochs": 2, "quiet": True}
    package.train("first", run_dir="whole", **settings)
    package.train("first", run_dir="broken", callbacks=[STOP_AT_ONCE], **settings)
    shutil.rmtree("first")  # it is needed no more
    package.resume("broken", quiet=True)
    assert outcome("broken") == outcome("whole")


def test_what_was_cut_off_before_its_first_checkpoint_is_not_begun_anew(first: Path, memlm: Memlm, other: Path):
    started(memlm, "--dataset", other, "--epochs", 1)
    for name in ("last", "best", "last.previous", "best.previous"):
        shutil.rmtree(Path("second", name), ignore_errors=True)
    message = refused(memlm("train", "--resume", "second"))
    assert message == "second was killed before its first checkpoint: start it again with --init-from and --overwrite"


def test_what_it_can_not_start_from_is_refused_and_leaves_nothing(
    first: Path, memlm: Memlm, corpus: Path, other: Path, monkeypatch: pytest.MonkeyPatch
):
    shorten_tasks(monkeypatch)
    package.train("kneser-ney", dataset=corpus, run_dir="counts", quiet=True)
    package.train("pe-ls-rn", dataset="stories-qa", task=1, run_dir="questions", **QUESTIONS)
    before = sorted(Path().rglob("*"))

    def said(*options: object) -> str:
        message = refused(memlm("train", *options, "--run-dir", "second"))
        assert sorted(Path().rglob("*")) == before
        return message

    start = ("--dataset", other, "--init-from")
    assert "nowhere does not exist" in said(*start, "nowhere")
    assert "counts is of kneser-ney, which is counted: it has no weights to start from" in said(*start, "counts")
    assert "can't start from the weights of a run" in said(*start, "first", "--model", "kneser-ney")
    assert "can't be trained on" in said(*start, "questions")
    assert "questions answers questions" in said(*start, "questions", "--model", "memn2n")
    for option in (("--level", "char"), ("--vocab-size", 5), ("--min-count", 2), ("--lowercase",)):
        message = "a run that starts from first has its vocabulary: leave out the settings of the text"
        assert said(*start, "first", *option) == message
    for option in (("--units", 13), ("--memory-size", 9), ("--model", "lstm")):
        assert "the weights of first are of memn2n-2x8 with other settings" in said(*start, "first", *option)
    assert "--init-from can't be changed on --resume" in said("--resume", "first", "--init-from", "first")
    of_questions = ("--dataset", "stories-qa", "--task", 1, "--init-from")
    assert "first is of a language model" in said(*of_questions, "first", "--model", "memn2n-qa")
    assert "the weights of questions are of" in said(*of_questions, "questions", "--units", 21)
    assert "unknown word" in said("--dataset", "stories-qa", "--task", 2, "--init-from", "questions")
    shutil.rmtree("first/best")
    shutil.rmtree("first/best.previous", ignore_errors=True)
    with pytest.raises(MemlmError, match="first has no best state yet"):
        package.train("first", dataset=other, init_from="first", quiet=True)


def first_errors(path: str) -> list[float]:
    """Training errors of the restarts in the first epoch."""
    found: list[float] = json.loads(Path(path, "metrics.jsonl").read_text().splitlines()[0])["train_error"]
    return found


def test_questions_start_there_too(memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    shorten_tasks(monkeypatch)
    settings = QUESTIONS | {"dataset": "stories-qa", "task": 1}
    package.train("pe-ls-rn", run_dir="first", **(settings | {"epochs": 60}))
    started(memlm, "--dataset", "stories-qa", "--epochs", 2)
    package.train("pe-ls-rn", run_dir="scratch", **settings)
    assert max(first_errors("second")) < min(first_errors("scratch"))
    assert Path("second/vocab.txt").read_bytes() == Path("first/vocab.txt").read_bytes()
    assert json.loads(Path("second/env.json").read_text())["init_from"]["run"] == str(Path("first").resolve())
    assert (
        package.train("first", init_from="first", epochs=2, run_dir="broken", callbacks=[STOP_AT_ONCE], quiet=True)
        is None
    )
    package.resume("broken", quiet=True)
    assert outcome("broken") == outcome("second")


def test_every_task_of_a_run_starts_there_whenever_it_is_trained(memlm: Memlm, monkeypatch: pytest.MonkeyPatch):
    """A run that is stopped within the first task, and trains the others when it is resumed."""
    shorten_tasks(monkeypatch)
    settings = QUESTIONS | {"dataset": "stories-qa"}
    package.train("pe-ls-rn", run_dir="first", joint=True, **(settings | {"epochs": 20}))
    start: dict[str, Any] = {"init_from": "first", "joint": False, "epochs": 2, "quiet": True}
    package.train("first", run_dir="whole", **start)
    assert package.train("first", run_dir="broken", callbacks=[STOP_AT_ONCE], **start) is None
    shutil.copytree("broken", "changed")
    package.resume("broken", quiet=True)
    assert outcome("broken") == outcome("whole")
    package.resume("first", epochs=21, quiet=True)
    with pytest.raises(MemlmError, match=r"changed started from .*first, whose weights have changed: begin anew"):
        package.resume("changed", quiet=True)
