"""`memlm data info` of any text: counts by hand, the unigram perplexity by its formula, lines that splits share."""

import json
import math
import re
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memlm.config.data import DataConfig
from memlm.data import description as module
from memlm.data.corpus.reading import TextFile
from memlm.data.description import SharedLines, describe_dataset, shared_lines
from tests.helpers.command_line import Memlm

TRAIN = "the cat sat on a mat\nThe dog sat\n\n"
VALID = "the  cat sat on a mat\r\na bird sat on the cat\n"
TEST = "the dog"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "texts"
    place.mkdir()
    for split, text in (("train", TRAIN), ("valid", VALID), ("test", TEST)):
        (place / f"{split}.txt").write_bytes(text.encode())
    return place


def words_of(text: str) -> list[str]:
    return [word for line in text.splitlines() for word in (*line.split(), "<eos>")]


def test_counts_by_hand(folder: Path):
    found = describe_dataset(str(folder), DataConfig(lowercase=True))
    assert found.vocabulary == 9  # the cat sat on a mat dog <eos> <unk>
    train, valid, test = found.splits
    assert (train.lines, train.words, train.tokens, train.types, train.oov) == (3, 12, 12, 9, 0)  # the, The are two
    assert (valid.lines, valid.words, valid.types, valid.oov, valid.oov_share) == (2, 14, 8, 1, 1 / 14)
    assert (valid.compared_lines, valid.shared_lines) == (2, 1)
    assert (test.lines, test.words, test.oov, test.compared_lines) == (1, 3, 0, 0)
    assert train.compared_lines is train.shared_lines is None
    assert "train contains 1 of the 2 different lines of valid that can be compared, 50.0%" in found.warnings()[0]
    assert len(found.warnings()) == 1


@pytest.mark.parametrize("min_count", [1, 2])
def test_the_unigram_perplexity_is_that_of_its_formula(folder: Path, min_count: int):
    seen = Counter(words_of(TRAIN))
    kept = {word for word in seen if seen[word] >= min_count} | {"<eos>", "<unk>"}
    counts = Counter(word if word in kept else "<unk>" for word in words_of(TRAIN))
    found = describe_dataset(str(folder), DataConfig(min_count=min_count))
    for facts, text in zip(found.splits, (TRAIN, VALID, TEST), strict=True):
        words = [word if word in kept else "<unk>" for word in words_of(text)]
        nats = [-math.log((counts[word] + 1) / (counts.total() + len(kept))) for word in words]
        assert facts.unigram_perplexity == pytest.approx(math.exp(sum(nats) / len(nats)))


LINES = st.lists(st.lists(st.sampled_from(["a", "b", "cc"]), max_size=7).map(" ".join), max_size=12)


@given(LINES, LINES, LINES, st.integers(1, 9))
def test_shared_lines_are_those_of_the_sets(
    tmp_path_factory: pytest.TempPathFactory, train: list[str], valid: list[str], test: list[str], block: int
):
    folder = tmp_path_factory.getbasetemp()
    files = [folder / name for name in ("train", "valid", "test")]
    for file, lines in zip(files, (train, valid, test), strict=True):
        file.write_text("\n".join(lines))
    known, *others = ({line for line in lines if len(line.split()) >= 5} for lines in (train, valid, test))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        found = shared_lines(TextFile(files[0]), [TextFile(file) for file in files[1:]])
    assert found == [SharedLines(compared=len(lines), shared=len(lines & known)) for lines in others]


def test_lines_are_compared_in_small_memory(tmp_path: Path):
    line = b"one two three four five six seven\n"
    train, test = tmp_path / "train", tmp_path / "test"
    train.write_bytes(line * 100_000 + b"word " * 600_000)
    test.write_bytes(line + b"word " * 600_000)
    tracemalloc.start()
    try:
        assert shared_lines(TextFile(train), [TextFile(test)]) == [SharedLines(compared=1, shared=1)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000  # bytes; the files have 10 million, and a list of all lines' words many times as many


def test_a_file_is_told_of_as_a_dataset_is(memlm: Memlm, folder: Path):
    Path("my.txt").write_text("one two three four five six\n" * 80 + "seven\n" * 20)
    result = memlm("data", "info", "my.txt", "--split", "80,10,10", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["name"] == str(Path("my.txt").resolve())
    assert found["split_rule"] == "one file, split 80,10,10 at the ends of lines"
    assert found["data"]["min_count"] == 1
    assert sum(split["lines"] for split in found["splits"].values()) == 100
    assert found["splits"]["test"]["oov"] > 0
    result = memlm("data", "info", folder)
    assert re.search(r"train +3 +12 +9 +0 +0.00 ", result.stdout)
    assert "unigram perplexity: by the counts of training plus one" in result.stdout
    assert result.stderr == (
        "Warning: train contains 1 of the 2 different lines of valid that can be compared, 50.0%: "
        "a result on valid partly measures memorisation\n"
    )
    Path("my.txt").write_text("one two three four " * 40)
    assert "split 90,5,5 at the ends of words, since it is one line" in memlm("data", "info", "my.txt").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "unknown dataset 'nope'"),
        (["no/such.txt"], "no file or folder no/such.txt"),
        (
            ["ptb", "--level", "char"],
            "ptb is not there, so it can't be read with these settings; run: memlm data get ptb",
        ),
        (["ptb", "--split", "8,1,1"], "split is 8,1,1, but only a dataset that is one file can be split"),
        (["babi", "--min-count", "7"], "babi has questions: settings of a text do not apply"),
        (["texts", "--split", "8,1,1"], "split is 8,1,1, but only a dataset that is one file can be split"),
        (["empty.txt"], "empty.txt is empty"),
        (["nul.txt"], "nul.txt is not UTF-8 text: it holds a NUL (line 30, byte 1)"),
        (["texts", "--min-count", "0"], "min_count is 0; it must be at least 1"),
        (["texts", "--vocab-size", "many"], "'many' is not a valid integer"),
        (["texts", "--level", "line"], "'line' is not one of 'word', 'char'"),
    ],
)
def test_what_cannot_be_told_of_is_one_line(memlm: Memlm, folder: Path, arguments: list[str], message: str):
    Path("empty.txt").write_bytes(b"")
    Path("nul.txt").write_bytes(b"fine\n" * 29 + b"\0\n")
    result = memlm("data", "info", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
