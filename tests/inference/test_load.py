"""What a load costs: each file of a run is read once, no weight is drawn, and a task's model is read when asked."""

from collections import Counter
from pathlib import Path

import pytest
import torch

import memlm as package
from memlm.config.recipes import recipe
from memlm.data.questions.encode import vocabulary
from memlm.errors import MemlmError
from tests.helpers.command_line import SMALL, Memlm
from tests.helpers.trained_tasks import STORY, ended, questions_of

OPTIONS = {
    "memn2n": (*SMALL, "--epochs", 1),
    "adaptive": (*SMALL, "--epochs", 1, "--softmax", "adaptive", "--cutoffs", "4,8"),
    "lstm": ("--model", "lstm", "--units", 6, "--layers", 2, "--epochs", 1),
    "kneser-ney": ("--model", "kneser-ney", "--order", 3),
    "pieces": ("--model", "kneser-ney", "--tokenizer", "sentencepiece", "--vocab-size", 270),
}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was read, by its path."""
    counts: Counter[str] = Counter()

    def counted(name: str) -> None:
        original = getattr(Path, name)

        def read(self: Path, *args: object, **options: object) -> object:
            counts[str(self)] += 1
            return original(self, *args, **options)

        monkeypatch.setattr(Path, name, read)

    for name in ("read_bytes", "read_text"):
        counted(name)
    return counts


@pytest.mark.parametrize("name", OPTIONS)
def test_each_file_is_read_once(name: str, memlm: Memlm, corpus: Path, reads: Counter[str]):
    result = memlm("train", "--dataset", corpus, *OPTIONS[name], "--run-dir", "runs/a")
    assert result.exit_code == 0, result.output
    reads.clear()
    model = package.load("runs/a")
    assert model.perplexity("a0 b0 c0 d") > 1
    files = ["config.toml", "env.json", "vocab.txt", "best/checkpoint.json", "best/model.safetensors"]
    files += ["tokenizer.model"] if name == "pieces" else []
    assert {path: count for path, count in reads.items() if path.startswith("runs")} == {
        f"runs/a/{file}": 1 for file in files
    }


@pytest.mark.parametrize("name", ["memn2n", "adaptive", "lstm"])
def test_no_weight_is_drawn(name: str, memlm: Memlm, corpus: Path, monkeypatch: pytest.MonkeyPatch):
    assert memlm("train", "--dataset", corpus, *OPTIONS[name], "--run-dir", "runs/a").exit_code == 0
    drawn = []

    def watch(home: object, function: str) -> None:
        original = getattr(home, function)

        def draw(values: torch.Tensor, *args: object, **options: object) -> torch.Tensor:
            drawn.extend([] if values.is_meta else [function])  # on the meta device nothing is drawn
            found: torch.Tensor = original(values, *args, **options)
            return found

        monkeypatch.setattr(home, function, draw)

    for function in ("uniform_", "normal_", "xavier_uniform_", "kaiming_uniform_"):
        watch(torch.nn.init, function)
    for function in ("uniform_", "normal_"):
        watch(torch.Tensor, function)
    before = torch.get_rng_state()
    package.load("runs/a")
    assert torch.equal(torch.get_rng_state(), before)
    assert drawn == []
    torch.nn.Linear(2, 2)
    assert drawn  # the watch sees


def test_a_task_is_read_when_it_is_asked(tmp_path: Path, reads: Counter[str], memlm: Memlm):
    run, tasks = tmp_path / "run", list(range(1, 21))
    ended(run, recipe("pe-ls-rn"), tasks)
    reads.clear()
    model = package.load(run)
    assert reads == {str(run / name): 1 for name in ("config.toml", "env.json", "summary.json")}
    assert (list(model.models), len(model.models), 3 in model.models, 21 in model.models) == (tasks, 20, True, False)
    assert {Path(path).parent.name for path in reads} == {"run"}
    for _ in range(2):
        assert model.ask(STORY, "Where is Mary?", task=3).words
    files = ("config.toml", "env.json", "vocab.txt", "best/checkpoint.json", "best/model.safetensors")
    of_tasks = {path: count for path, count in reads.items() if "task-" in path}
    assert of_tasks == {str(run / "task-3" / name): 1 for name in files}

    reads.clear()
    (tmp_path / "story.txt").write_text(STORY)
    result = memlm("ask", run, "Where is Mary?", "--story", tmp_path / "story.txt", "--task", 4)
    assert result.exit_code == 0, result.output
    assert {Path(path).parts[-3] for path in reads if path.endswith("model.safetensors")} == {"task-4"}


def test_one_task_can_be_loaded_alone(tmp_path: Path):
    run = ended(tmp_path / "run", recipe("pe-ls-rn"), list(range(1, 21)))
    alone = package.load(run, task=5)
    assert list(alone.models) == [5]
    known = vocabulary(questions_of(5)["train"]).words
    assert alone.ask(STORY, "Where is Mary?").words == known
    with pytest.raises(MemlmError, match="run has no task 21: it has 1, 2"):
        package.load(run, task=21)


def test_each_file_of_one_model_of_tasks_is_read_once(tmp_path: Path, reads: Counter[str]):
    run = ended(tmp_path / "run", recipe("pe-ls-rn-joint"), [1, 2])
    reads.clear()
    model = package.load(run)
    assert model.models[1] is model.models[2]
    assert set(reads.values()) == {1}
