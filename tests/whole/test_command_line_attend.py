"""`memlm attend` as a user meets it."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

import memlm as package
from memlm.cli import main
from tests.helpers.command_line import SMALL, Memlm, lines, refused

TEXT = "a0 b0 c0 d\na1 heard b1"


@pytest.fixture
def run(memlm: Memlm, corpus: Path) -> Path:
    result = memlm("train", "--dataset", corpus, *SMALL, "--lr", 0.05, "--run-dir", "runs/a")
    assert result.exit_code == 0, result.output
    return Path("runs/a")


def test_the_next_word_by_default(run: Path, memlm: Memlm):
    shown = memlm("attend", run, "--text", TEXT).stdout
    assert "\x1b" not in shown
    title, _, _, *rows, _, meaning, likeliest = lines(shown)
    assert title == "a (corpus-memn2n-2x8): what each hop attends to for the word after: " + TEXT.replace(
        "\n", " <eos> "
    )
    words = ["a0", "b0", "c0", "d", "<eos>", "a1", "heard (<unk>)", "b1"]
    assert [row.split("  ")[0].strip() for row in rows] == words
    assert meaning.startswith("The weights of a hop add up to 1")
    word, probability = package.load(run).next_word(TEXT).top(1)[0]
    assert likeliest.startswith(f"Likeliest: {word} {probability:.3f}, ")


def test_a_word_of_the_text_each_time_and_all_of_them(run: Path, memlm: Memlm):
    shown = memlm("attend", run, "--text", "a0 b0 a0 b0", "--word", "b0", "--top", 1).stdout
    assert shown.count("what each hop attends to for the word after: a0") == 2
    assert shown.count("-> b0") == 2
    assert "(2 words)" in shown
    assert "Likeliest" not in shown
    overview = lines(memlm("attend", run, "--text", "a0 b0", "--all").stdout)
    assert [line.split("  ")[0].strip() for line in overview[3:]] == ["a0", "b0", "(next word)"]
    assert "a0 1.00   a0 1.00" in overview[4]


def test_json_holds_the_weights(run: Path, memlm: Memlm):
    result = json.loads(memlm("attend", run, "--text", TEXT, "--all", "--json").stdout)
    assert result.keys() == {"run", "model", "dataset", "checkpoint", "words", "unknown", "predictions"}
    attended = package.load(run).attend(TEXT)
    assert result["words"] == attended.words
    assert result["unknown"] == [word == "heard" for word in attended.words]
    assert [prediction["place"] for prediction in result["predictions"]] == attended.targets
    assert [prediction["word"] for prediction in result["predictions"]] == [*attended.words, None]
    for t, prediction in enumerate(result["predictions"]):
        first, weights = attended.past(t)
        assert prediction["first"] == first
        np.testing.assert_allclose(np.reshape(prediction["weights"], weights.shape), weights, rtol=1e-5)
    (following,) = json.loads(memlm("attend", run, "--text", TEXT, "--json").stdout)["predictions"]
    np.testing.assert_allclose(following["weights"], attended.past(8)[1], rtol=1e-5)


def test_the_text_may_come_from_standard_input(run: Path, memlm: Memlm):
    expected = memlm("attend", run, "--text", TEXT).stdout
    piped = CliRunner().invoke(main, ["attend", str(run)], input=TEXT + "\n")  # the file's line break, not the text's
    assert piped.stdout == expected
    bad = CliRunner().invoke(main, ["attend", str(run)], input=b"a0 \xff")
    assert refused(bad) == "standard input is not UTF-8 text (line 1, byte 4)"
    assert "standard input is empty" in refused(memlm("attend", run))


def test_the_average_over_a_split(run: Path, memlm: Memlm):
    shown = lines(memlm("attend", run, "--average").stdout)
    assert shown[0] == "a (corpus-memn2n-2x8): average attention over 92 words of valid"
    assert len(shown) == 6
    result = json.loads(memlm("attend", run, "--average", "--split", "test", "--json").stdout)
    average = package.load(run).average_attention("test")
    assert (result["split"], result["targets"]) == ("test", average.targets)
    np.testing.assert_allclose(result["weights"], average.weights)


def test_pictures(run: Path, memlm: Memlm):
    name = "a (corpus-memn2n-2x8)"
    for arguments, title in (
        (["--text", TEXT], f"{name}: what each hop attends to for the next word"),
        (["--text", TEXT, "--word", "d"], f"{name}: what each hop attends to for 'd'"),
        (["--text", TEXT, "--all"], f"{name}: what each hop attends to"),
        (["--average"], f"{name}: average attention over 92 words of valid"),
    ):
        command = ("attend", run, *arguments, "--plot", "a.svg")
        assert memlm(*command, "--overwrite").exit_code == 0
        texts = ["".join(element.itertext()) for element in ElementTree.parse("a.svg").getroot().iter()]
        assert title in texts
        if "--text" in arguments:
            assert {"a0", "b0", "c0", "attention weight"} <= set(texts)
            assert ("heard (<unk>)" in texts) == ("--word" not in arguments)
        assert "exists already" in refused(memlm(*command))


def test_refusals_of_one_line(run: Path, memlm: Memlm):
    for arguments, message in (
        (["--text", " "], "the text is empty: give at least one word"),
        (["--text", "a0", "--word", "b0"], "the text has no word 'b0'"),
        (["--text", "a0", "--word", "a0", "--all"], "--word and --all can't be used together"),
        (["--text", "a0", "--average"], "it can't be used with --text, --word or --all"),
        (["--text", "a0", "--split", "test"], "--split can only be used with --average"),
        (["--average", "--split", "dev"], "has no split 'dev'"),
        (["--text", "a0", "--plot", "a.jpg"], "the name must end in .png, .svg, .pdf"),
        (["--text", "a0", "--plot", "none/a.png"], "there is no folder none"),
        (["--text", "a0 b0", "--word", "a0", "--plot", "a.png"], "for 'a0': there is no word before it"),
        (["--text", "a0 " * 50, "--all", "--plot", "a.png"], "there is room for 40 of each"),
        (["--text", "a0", "--top", 0], "0 is not in the range x>=1"),
    ):
        assert message in refused(memlm("attend", run, *arguments))


def test_a_run_without_attention_is_refused(memlm: Memlm, corpus: Path):
    assert (
        memlm("train", "--dataset", corpus, "--model", "lstm", "--max-steps", 1, "--run-dir", "runs/b").exit_code == 0
    )
    for arguments in (["--text", "a0"], ["--average"]):
        assert "runs/b is a run of lstm-1x100, which has no memory" in refused(memlm("attend", "runs/b", *arguments))
