"""`memlm eval RUN --text FILE`: any text, with what is in the run's folder alone."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

import memlm as package
from memlm.errors import MemlmError
from tests.helpers.command_line import SMALL, Memlm

TEXT = "A0 b0 c0 d\na1 dog C1 d\n\na2\n"


@pytest.fixture
def moved(memlm: Memlm, corpus: Path, tmp_path: Path) -> Path:
    """A run that was copied to where its dataset is not."""
    options = ("--dataset", corpus, *SMALL, "--epochs", 1, "--lowercase", "--min-count", 2)
    assert memlm("train", *options, "--run-dir", "runs/a").exit_code == 0
    assert memlm("eval", "runs/a", "--cache", "--split", "valid").exit_code == 0
    shutil.rmtree(corpus)
    (tmp_path / "runs/a").rename(tmp_path / "elsewhere")
    (tmp_path / "my.txt").write_text(TEXT)
    return tmp_path / "elsewhere"


def test_a_text_is_scored_without_the_dataset(memlm: Memlm, moved: Path, tmp_path: Path):
    result = memlm("eval", moved, "--text", "my.txt", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["dataset"], found["split"]) == (str(tmp_path / "my.txt"), "text")
    assert found["text_sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()
    assert (found["tokens"], found["words"], found["oov"], found["characters"]) == (13, 13, 1, len(TEXT))
    assert found["oov_share"] == pytest.approx(1 / 13)
    assert found["data"]["lowercase"] is True
    model = package.load(moved)
    assert found["perplexity"] == pytest.approx(model.perplexity(TEXT), rel=1e-5)
    assert model.evaluate_text("my.txt")["nats"] == pytest.approx(found["nats"])
    said = memlm("eval", moved, "--text", "my.txt").stdout
    assert said.startswith(f"memn2n-2x8 on {tmp_path / 'my.txt'}: perplexity {found['perplexity']:.2f} (13 tokens, ")
    assert "1 unknown words (7.69%)" in said


def test_each_text_is_kept_beside_the_splits(memlm: Memlm, moved: Path):
    Path("other.txt").write_text("a0 b0\n")
    for name in ("my.txt", "other.txt", "my.txt"):
        assert memlm("eval", moved, "--text", name).exit_code == 0
    kept = json.loads((moved / "evaluations.json").read_text())
    texts = [key for key in kept if key.startswith("text-")]
    assert len(texts) == 2
    assert {"valid/exact/best", "test/exact/best"} < kept.keys()


def test_weights_that_the_run_keeps_are_worn(memlm: Memlm, moved: Path):
    result = memlm("eval", moved, "--text", "my.txt", "--cache", "--json")
    assert result.exit_code == 0, result.output
    assert list(json.loads(result.stdout)["wrappers"]) == ["cache"]
    result = memlm("eval", moved, "--text", "my.txt", "--dynamic")
    assert result.exit_code == 2
    assert "no file or folder" in result.stderr
    assert len(result.stderr.splitlines()) == 2  # what it is about, and why it can't be done


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no file at my.txt"),
        (b"", "my.txt is empty"),
        (b"fine\nb\0ad", "my.txt is not UTF-8 text: it holds a NUL (line 2, byte 2)"),
        (b"fine\n\xff", "my.txt is not UTF-8 text (line 2, byte 1)"),
    ],
)
def test_what_is_no_text_is_named(memlm: Memlm, moved: Path, content: bytes | None, message: str):
    Path("my.txt").unlink()
    if content is not None:
        Path("my.txt").write_bytes(content)
    result = memlm("eval", moved, "--text", "my.txt")
    assert (result.exit_code, result.stderr) == (2, f"Error: {message}\n")
    with pytest.raises(MemlmError, match=r"my\.txt"):
        package.load(moved).evaluate_text("my.txt")


def test_a_text_is_no_split(memlm: Memlm, moved: Path):
    result = memlm("eval", moved, "--text", "my.txt", "--split", "valid")
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: --text is not a split of the dataset: leave out --split valid\n",
    )


@pytest.mark.parametrize(
    "content", [b"a0 b0", b"\xef\xbb\xbfa0 b0\r\n", b"\n", b"a0 b0\r\nc0\r\n", b"a0 " * 5_000], ids=range(5)
)
def test_odd_texts_are_scored(memlm: Memlm, moved: Path, content: bytes):
    Path("my.txt").write_bytes(content)
    found = package.load(moved).evaluate_text("my.txt")
    text = content.decode("utf-8-sig")
    assert found["tokens"] == len(text.split()) + text.removesuffix("\n").count("\n") + 1
    assert found["oov"] == 0
