"""Trained runs of question answering: their figures are those of the answers, beside the right column of the paper."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import memlm as package
from memlm.cli import main
from memlm.config.paper import TABLE1
from memlm.config.recipes import RECIPES, column_of, recipe
from memlm.config.run import QAConfig
from memlm.errors import MemlmError
from memlm.inference.ask import ask
from memlm.inference.load import load_tasks, load_text
from memlm.inference.questions import TrainedTasks
from memlm.runs.folder import RunFolder
from tests.helpers.trained_tasks import STORY, ended, questions_of


@pytest.fixture(autouse=True)
def _made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memlm.inference.questions.load_questions", lambda dataset, task, size: questions_of(task))


def one_task(path: Path, **settings: object) -> Path:
    """A run of task 2 of bAbI."""
    config = recipe("pe-ls-rn")
    return ended(path, dataclasses.replace(config, train=config.train.replace({"task": "2"} | settings)), [2])


def by_hand(model: TrainedTasks, task: int, split: str = "test") -> tuple[float, float]:
    """Percent of wrong answers, and the share of support, asking one question after another."""
    trained, asked = model.models[task], questions_of(task)[split]
    answers = [ask(trained.model, trained.words, question) for question in asked]
    wrong = sum(answer.answer != question.answer for answer, question in zip(answers, asked, strict=True))
    found = 0
    for answer in answers:
        assert answer.attention is not None
        assert answer.supporting is not None
        found += any(answer.supporting[row.argmax()] for row in answer.attention if row.max() > 1 - row.sum())
    return 100 * wrong / len(asked), found / len(asked)


def test_the_figures_of_a_task_are_those_of_its_answers(tmp_path: Path):
    model = load_tasks(one_task(tmp_path / "run"))
    for split in ("test", "train"):
        result = model.evaluate(split)
        error, support = by_hand(model, 2, split)
        assert result["tasks"] == {"2": pytest.approx(error)}
        assert result["support"] == {"2": pytest.approx(support)}
        assert (result["mean_error"], result["failed_tasks"]) == (pytest.approx(error), 1)
        assert (result["questions"], result["split"]) == (25, split)
    assert result["names"] == {"2": "2 supporting facts"}
    paper = {"column": "pe-ls-rn", "tasks": {"2": 8.3}, "mean_error": None, "failed_tasks": None}
    assert result["paper"] == paper


def test_a_run_of_all_tasks_has_a_model_for_each(tmp_path: Path):
    model = load_tasks(ended(tmp_path / "run", recipe("pe-ls-rn"), list(range(1, 21))))
    result = model.evaluate()
    errors = [by_hand(model, task)[0] for task in range(1, 21)]
    assert list(result["tasks"].values()) == pytest.approx(errors)
    assert len(set(errors)) > 1
    assert result["mean_error"] == pytest.approx(np.mean(errors))
    assert result["failed_tasks"] == sum(error > 5 for error in errors)
    assert (result["paper"]["mean_error"], result["paper"]["failed_tasks"], result["absent"]) == (13.9, 11, [])
    with pytest.raises(MemlmError, match="has one model per task: choose one, with --task 1, 2,"):
        model.ask(STORY, "Where is Mary?")
    answers = [model.ask(STORY, "Where is Mary?", task=task) for task in (1, 2)]
    assert not np.array_equal(answers[0].distribution, answers[1].distribution)


def test_tasks_that_a_run_lacks_are_named_and_the_mean_is_not_held_against_the_papers(tmp_path: Path):
    config = recipe("pe-ls-rn", size="10k")
    result = load_tasks(ended(tmp_path / "run", config, [1, 2, *range(4, 21)])).evaluate()
    assert result["absent"] == [3]
    paper = {"column": "pe-ls-rn", "tasks": None, "mean_error": None, "failed_tasks": None}
    assert result["paper"] == paper


def test_a_joint_run_answers_with_one_model(tmp_path: Path):
    model = load_tasks(ended(tmp_path / "run", recipe("pe-ls-rn-joint", size="10k"), list(range(1, 21))))
    result = model.evaluate()
    assert [result["tasks"][str(task)] for task in (1, 20)] == pytest.approx([by_hand(model, t)[0] for t in (1, 20)])
    assert (result["paper"]["tasks"], result["paper"]["mean_error"]) == (None, 7.5)
    one, other = (model.ask(STORY, "Where is Mary?", task=task) for task in (None, 20))
    np.testing.assert_array_equal(one.distribution, other.distribution)


@pytest.mark.parametrize("name", [name for name in RECIPES if isinstance(recipe(name), QAConfig)])
def test_every_recipe_stands_beside_its_own_column(name: str):
    config = recipe(name)
    assert column_of(config) == name
    assert name in TABLE1
    changed = config.train.replace({"lr": 0.02, "restarts": 3, "seed": 9, "epochs": 7})
    assert column_of(dataclasses.replace(config, train=changed)) == name


def test_a_run_of_no_column_has_no_paper_beside_it(tmp_path: Path):
    config = recipe("pe-ls-rn")
    for other in ({"hops": 4}, {"units": 50}, {"temporal_encoding": False}, {"memory_size": 51}):
        assert column_of(dataclasses.replace(config, model=config.model.replace(other))) is None
    for way in ({"joint": True}, {"noise": 0.2}):
        assert column_of(dataclasses.replace(config, train=config.train.replace(way))) is None
    assert column_of(dataclasses.replace(config, model=config.model.replace({"memory_size": 10}))) == "pe-ls-rn"
    own = dataclasses.replace(config, dataset="stories-qa", train=config.train.replace({"task": "1"}))
    assert load_tasks(ended(tmp_path / "run", own, [1])).evaluate()["paper"] is None


def test_what_can_not_be_asked_for_is_one_line(tmp_path: Path):
    model = load_tasks(one_task(tmp_path / "run"))
    with pytest.raises(MemlmError, match="babi has no split 'valid': it has test, train"):
        model.evaluate("valid")
    with pytest.raises(MemlmError, match="protocol facebook is only for texts"):
        model.evaluate(protocol="facebook")
    with pytest.raises(MemlmError, match="has no task 3: it has 2"):
        model.ask(STORY, "Where is Mary?", task=3)
    with pytest.raises(MemlmError, match=r"^the story, line 1: unknown word 'fell'"):
        model.ask(["Mary fell."], "Where is Mary?")
    RunFolder.create(tmp_path / "begun", recipe("pe"))
    with pytest.raises(MemlmError, match="has not ended yet: go on with `memlm train --resume"):
        load_tasks(tmp_path / "begun")


@pytest.mark.parametrize(
    "change",
    [
        lambda found: [],
        lambda found: {},
        lambda found: found | {"tasks": {}},
        lambda found: found | {"tasks": None},
        lambda found: found | {"tasks": {"2": None}},
        lambda found: found | {"tasks": {"two": 1.0}},
        lambda found: found | {"tasks": {"3": 1.0}},
        lambda found: {key: value for key, value in found.items() if key != "mean_error"},
    ],
)
def test_a_damaged_summary_is_one_line(change: Callable[[Any], Any], memlm: Callable[..., Result], tmp_path: Path):
    run = one_task(tmp_path / "run")
    path = run / "summary.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    refused = memlm("eval", run)
    assert (refused.exit_code, refused.stderr.count("\n"), " damaged: " in refused.stderr) == (2, 1, True)


def test_a_run_of_the_other_kind_is_refused_by_name(memlm: Callable[..., Result], tmp_path: Path, corpus: Path):
    run = one_task(tmp_path / "run")
    with pytest.raises(MemlmError, match="run is a run of question answering: use `memlm ask`"):
        load_text(run)
    with pytest.raises(MemlmError, match="run answers questions: it has only a best checkpoint, not 'last'"):
        package.load(run, checkpoint="last")
    assert memlm("train", "--dataset", corpus, "--max-steps", 1, "--units", 4, "--run-dir", "lm").exit_code == 0
    with pytest.raises(MemlmError, match="lm is a run of a language model: it has no tasks; leave out task=2"):
        package.load("lm", task=2)
    refused = memlm("ask", "lm", "Where is Mary?", "--story", corpus / "train.txt")
    assert (refused.exit_code, "lm is a run of a language model" in refused.output) == (2, True)


def test_a_story_is_a_text_or_a_list(tmp_path: Path):
    model = package.load(one_task(tmp_path / "run"))
    answer = model.ask(STORY, "Where is Mary?")
    assert isinstance(answer, package.Answer)
    listed = model.ask(["mary went to the hall", "john went to the garden"], "where is mary")
    np.testing.assert_array_equal(answer.distribution, listed.distribution)
    assert answer.sentences == ["mary went to the hall", "john went to the garden"]
    assert (answer.supporting, answer.expected) == (None, None)


def test_ask_prints_figure_2(memlm: Callable[..., Result], tmp_path: Path):
    run = one_task(tmp_path / "run")
    story = tmp_path / "story.txt"
    story.write_text(f"1 {STORY.splitlines()[0]}\n2 Where is Mary?\thall\t1\n")
    answer = load_tasks(run).ask(story.read_text(), "Where is Mary?")
    assert answer.attention is not None
    shown = memlm("ask", run, "Where is Mary?", "--story", story)
    assert shown.exit_code == 0, shown.output
    header, _, row = (line.split() for line in shown.output.splitlines()[1:4])
    assert header == ["story", "support", "hop", "1", "hop", "2", "hop", "3"]
    assert row == ["mary", "went", "to", "the", "hall", "yes", *(f"{weight:.2f}" for weight in answer.attention[:, 0])]
    assert "question     where is mary?\nanswer       hall\n" in shown.output
    assert f"prediction   {answer.answer}\nprobability  {answer.probability:.2f}\n" in shown.output
    found = json.loads(memlm("ask", run, "Where is Mary?", "--story", story, "--json").output)
    assert (found["answer"], found["probability"]) == (answer.answer, pytest.approx(answer.probability))
    assert (found["expected"], found["supporting"], len(found["attention"])) == ("hall", [True], 3)


def test_ask_reads_standard_input_and_draws(memlm: Callable[..., Result], tmp_path: Path):
    run = one_task(tmp_path / "run")
    asked = ["ask", str(run), "Where is John?", "--plot"]
    result = CliRunner().invoke(main, [*asked, "a.svg"], input=STORY)
    assert result.exit_code == 0, result.output
    assert "support" not in result.output
    assert "<svg" in Path("a.svg").read_text()
    refused = CliRunner().invoke(main, [*asked, "b.txt"], input=STORY)
    assert refused.exit_code == 2
    assert "can't draw b.txt" in refused.output
    empty = CliRunner().invoke(main, asked[:3], input="")
    assert (empty.exit_code, empty.output.count("\n")) == (2, 1)
    assert "standard input is empty" in empty.output


def test_eval_prints_the_paper_beside_and_keeps_the_score(memlm: Callable[..., Result], tmp_path: Path):
    run = ended(tmp_path / "run", recipe("pe-ls-rn"), list(range(1, 21)))
    shown = memlm("eval", run)
    assert shown.exit_code == 0, shown.output
    result = load_tasks(run).evaluate()
    lines = {line.split(":")[0].strip(): line.split() for line in shown.output.splitlines()}
    support = f"{100 * result['support']['19']:.1f}"
    assert lines["19"] == ["19:", "path", "finding", f"{result['tasks']['19']:.1f}", "82.8", support]
    assert ["mean", "error", f"{result['mean_error']:.1f}", "13.9"] in lines.values()
    found = json.loads(memlm("eval", run, "--json").output)
    assert [found[key] for key in ("tasks", "mean_error", "failed_tasks")] == [
        result[key] for key in ("tasks", "mean_error", "failed_tasks")
    ]
    kept = json.loads((run / "evaluations.json").read_text())["test"]
    assert kept["tasks"] == result["tasks"]
    refused = memlm("eval", run, "--checkpoint", "last")
    assert (refused.exit_code, "leave out --checkpoint" in refused.output) == (2, True)


def test_compare_sets_runs_side_by_side(memlm: Callable[..., Result], tmp_path: Path):
    alone = ended(tmp_path / "alone", recipe("pe"), [1, 2, 3])
    joint = ended(tmp_path / "joint", recipe("pe-ls-rn-joint"), [1, 2, 3], more_words=["xylophone", "apple"])
    results = [load_tasks(run).evaluate() for run in (alone, joint)]
    shown = memlm("compare", alone, joint)
    assert shown.exit_code == 0, shown.output
    lines = [line.split() for line in shown.output.splitlines()]
    assert ["mean", "error", *(f"{result['mean_error']:.1f}" for result in results)] in lines
    assert ["2:", "2", "supporting", "facts", *(f"{result['tasks']['2']:.1f}" for result in results)] in lines
    rows = json.loads(memlm("compare", alone, joint, "--json").output)
    assert [row["tasks"] for row in rows] == [result["tasks"] for result in results]


def test_compare_refuses_runs_of_other_questions(memlm: Callable[..., Result], tmp_path: Path, corpus: Path):
    one = one_task(tmp_path / "one")
    refused = memlm("compare", one, ended(tmp_path / "two", recipe("pe"), [1, 2]))
    assert (refused.exit_code, "the tasks or their questions differ" in refused.output) == (2, True)
    assert memlm("train", "--dataset", corpus, "--max-steps", 1, "--units", 4, "--run-dir", "lm").exit_code == 0
    refused = memlm("compare", one, one, "--plot", "a.svg")
    assert (refused.exit_code, "leave out --plot" in refused.output) == (2, True)
    refused = memlm("compare", one, one, "--protocol", "facebook")
    assert (refused.exit_code, "protocol facebook is only for texts" in refused.output) == (2, True)
    refused = memlm("compare", one, "lm")
    assert (refused.exit_code, "lm is a run of a language model" in refused.output) == (2, True)


def test_the_baseline_without_a_memory_answers_too(memlm: Callable[..., Result], tmp_path: Path):
    config = recipe("lstm")
    run = ended(tmp_path / "run", dataclasses.replace(config, train=config.train.replace({"task": "2"})), [2])
    result = load_tasks(run).evaluate()
    assert result["support"] == {"2": None}
    assert result["paper"]["tasks"] == {"2": 80.0}
    assert "support %" not in memlm("eval", run).output
    (tmp_path / "story.txt").write_text(STORY)
    shown = memlm("ask", run, "Where is Mary?", "--story", tmp_path / "story.txt")
    assert (shown.exit_code, "hop" in shown.output, "mary went to the hall" in shown.output) == (0, False, True)
    refused = memlm("ask", run, "Where is Mary?", "--story", tmp_path / "story.txt", "--plot", "a.svg")
    assert (refused.exit_code, "this model has no memory to attend to" in refused.output) == (2, True)
