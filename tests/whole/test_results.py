"""What a method returns, `to_dict` gives as its verb's --json prints it; and its repr is one line."""

import json
from pathlib import Path
from typing import Any

import pytest

import memlm as package
from memlm import jsontext
from memlm.config.recipes import recipe
from memlm.inference.generate import DrawnText
from memlm.inference.load import load_tasks, load_text
from tests.helpers.command_line import SMALL, Memlm
from tests.helpers.trained_tasks import STORY, ended, questions_of

TEXT = "a0 b0 c0 d\na1 unheard"
VARYING = ("date", "seconds", "commit")


@pytest.fixture
def run(memlm: Memlm, corpus: Path) -> Path:
    """A memory network."""
    result = memlm("train", "--dataset", corpus, *SMALL, "--epochs", 1, "--run-dir", "runs/a")
    assert result.exit_code == 0, result.output
    return Path("runs/a")


@pytest.fixture
def tasks(memlm: Memlm, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of question answering."""
    monkeypatch.setattr("memlm.inference.questions.load_questions", lambda dataset, task, size: questions_of(task))
    return ended(Path("runs/tasks"), recipe("pe-ls-rn"), [1, 2])


def as_read(value: Any) -> Any:
    """The value after a way through JSON, without what differs from one time to the next."""
    found = json.loads(jsontext.dumps(value))
    return {key: found[key] for key in found if key not in VARYING} if isinstance(found, dict) else found


def printed(memlm: Memlm, *words: object) -> list[Any]:
    """The JSON that a verb prints: of each line, or the one of all."""
    result = memlm(*words, "--json")
    assert result.exit_code == 0, result.output
    return [as_read(json.loads(line)) for line in result.stdout.splitlines()]


def test_a_passport(run: Path, memlm: Memlm):
    found = package.evaluate(run)
    assert as_read(found.to_dict()) == printed(memlm, "eval", run)[0]
    assert type(found.to_dict()) is dict
    assert found.get("perplexity") == found["perplexity"] > 1
    shown = f"perplexity {found['perplexity']:.2f} of {found['tokens']} tokens, protocol exact, checkpoint best"
    assert repr(found) == f"<passport: memn2n-2x8 on {found['dataset']} test, {shown}>"
    of_model = package.evaluate(load_text(run), "valid", protocol="facebook")
    assert as_read(of_model) == printed(memlm, "eval", run, "--split", "valid", "--protocol", "facebook")[0]


def test_a_passport_of_tasks(tasks: Path, memlm: Memlm):
    found = package.evaluate(tasks)
    assert isinstance(found, package.Passport)
    assert as_read(found.to_dict()) == printed(memlm, "eval", tasks)[0]
    figures = f"mean error {found['mean_error']:.1f} %, {found['failed_tasks']} of 2 tasks failed"
    assert repr(found) == f"<passport: memn2n-qa-3x20 on babi test, {figures}>"


def test_attention(run: Path, memlm: Memlm):
    model = load_text(run)
    facts = {"run": "runs/a", "model": "memn2n-2x8", "dataset": model.config.dataset, "checkpoint": "best"}
    attended = model.attend(TEXT)
    assert as_read(facts | attended.to_dict()) == printed(memlm, "attend", run, "--text", TEXT, "--all")[0]
    assert repr(attended) == "<attention for 8 of 7 words and the next, hops 2, memory 8>"
    mean = model.average_attention("test")
    assert (
        as_read(facts | {"split": "test"} | mean.to_dict())
        == printed(memlm, "attend", run, "--average", "--split", "test")[0]
    )
    assert repr(mean) == f"<average attention over {mean.targets} targets, hops 2, memory 8>"


def test_scores(run: Path, memlm: Memlm):
    Path("text.txt").write_text(TEXT + "\n")
    lines = printed(memlm, "score", run, "text.txt")
    sentences = list(load_text(run).score_lines(TEXT))
    for number, sentence in enumerate(sentences, start=1):
        found = [
            {key: value for key, value in line.items() if key not in ("type", "sentence")}
            for line in lines
            if line.get("sentence") == number
        ]
        assert found == [as_read(token.to_dict()) for token in sentence.tokens] + [as_read(sentence.sums.to_dict())]
        whole = sentence.to_dict()
        assert whole.pop("scores") == [token.to_dict() for token in sentence.tokens]
        assert whole == sentence.sums.to_dict()
    assert "\n" not in repr(sentences[0])
    assert repr(sentences[0]).startswith("<scored sentence of 5 words, log-probability -")


def test_drawn_text(run: Path, memlm: Memlm):
    drawn = list(load_text(run).generate("a0 b0", package.Sampling(words=7), seed=3))
    text = DrawnText(seed=3, prompt="a0 b0", tokens=drawn)
    words = ("generate", run, "--prompt", "a0 b0", "--words", 7, "--seed", 3)
    assert as_read(text.to_dict()) == printed(memlm, *words)[0]
    assert text.text == "".join(token.text for token in drawn)
    assert drawn[0].to_dict().keys() == {"token", "log_probability", "text"}
    assert repr(text).startswith("<drawn text of 7 tokens, seed 3: ")


def test_an_answer(tasks: Path, memlm: Memlm):
    Path("story.txt").write_text(STORY)
    answer = load_tasks(tasks).ask(STORY, "Where is Mary?", task=2)
    words = ("ask", tasks, "Where is Mary?", "--story", "story.txt", "--task", 2)
    assert as_read(answer.to_dict() | {"run": "runs/tasks"}) == printed(memlm, *words)[0]
    shown = f"<answer {answer.answer!r} to 'where is mary', probability {answer.probability:.2f}>"
    assert repr(answer) == shown


@pytest.mark.parametrize("kind", ["run", "tasks"])
def test_a_comparison(kind: str, request: pytest.FixtureRequest, memlm: Memlm):
    path = request.getfixturevalue(kind)
    found = package.compare(path, path)
    result = memlm("compare", path, path, "--json")
    varying = {"seconds": 0}
    expected = [row | varying for row in json.loads(result.stdout)]
    assert [row | varying for row in json.loads(jsontext.dumps(found.to_dict()))] == expected
    lines = repr(found).splitlines()
    assert len(lines) == 2 + len(found.lines())
    assert lines[0] == lines[1]
    assert lines[0].startswith(f"{path} (mem")
    assert set(lines[2:]) <= set(memlm("compare", path, path).stdout.splitlines())
    if kind == "tasks":
        assert (found.differences, found.warnings) == ((), ())
    else:
        assert [by_split.keys() for by_split in found.differences] == [set(), {"valid", "test"}]
        assert "a text of 100 words is too short to tell a difference: it needs 1,000" in lines


def test_models_and_next_words(run: Path, tasks: Path):
    model, answerer = package.load(run), package.load(tasks)
    assert repr(model) == f"<memlm model memn2n-2x8, runs/a, best, step {model.step}>"
    assert repr(answerer) == "<memlm tasks memn2n-qa-3x20, runs/tasks, task 1, 2>"
    assert repr(answerer.models[1]) == "<memlm answerer memn2n-qa-3x20, runs/tasks/task-1>"
    after = model.next_word("a0 b0")
    told = after.to_dict()
    assert list(told["likeliest"].items()) == after.top()
    assert (told["memory"], len(told["attention"])) == (["a0", "b0"], 2)
    word, probability = after.top(1)[0]
    assert repr(after).startswith(f"<next word of {len(after.words)}: {word!r} {probability:.3f}, ")
    assert "\n" not in repr(after)
