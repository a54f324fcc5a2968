"""Vocabularies are made from the training split alone."""

import sys
from pathlib import Path

import pytest

from memlm.data import make_vocabulary
from memlm.data.corpus.reading import TextFile
from memlm.data.vocabulary import pieces
from memlm.data.vocabulary.pieces import PieceVocabulary
from memlm.data.vocabulary.words import EOS, UNK
from memlm.errors import MemlmError
from tests.helpers.pieces import KINDS, TEXT, settings


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_learnt_from_the_training_split_and_the_same_each_time(
    train: TextFile, learnt: dict[str, PieceVocabulary], kind: str
):
    again = make_vocabulary.make_vocabulary(train, settings(kind))
    assert again.sha256 == learnt[kind].sha256
    assert learnt["unigram"].sha256 != learnt["bpe"].sha256
    seen = {piece for piece in again.words if not pieces.BYTE.fullmatch(piece)} - {EOS, UNK}
    text = TEXT.replace(" ", pieces.SPACE).replace("\n", pieces.SPACE)
    assert all(piece in pieces.SPACE + text for piece in seen)
    assert any(piece.startswith(pieces.SPACE) and len(piece) > 3 for piece in seen)


@pytest.mark.parametrize("kind", KINDS)
def test_the_possible_sizes_are_named(train: TextFile, kind: str):
    with pytest.raises(MemlmError, match=r"vocab_size is 100; it must be at least \d+: <eos>, <unk>, 256") as low:
        make_vocabulary.make_vocabulary(train, settings(kind, 100))
    with pytest.raises(MemlmError, match=r"vocab_size is 9000; it must be from \d+ to \d+: the") as high:
        make_vocabulary.make_vocabulary(train, settings(kind, 9000))
    least, (other_least, most) = numbers(str(low.value))[1], numbers(str(high.value))[1:3]
    assert least == other_least
    for size in (least, most):
        assert len(make_vocabulary.make_vocabulary(train, settings(kind, size))) == size
    for size in (least - 1, most + 1):
        with pytest.raises(MemlmError, match="it must be"):
            make_vocabulary.make_vocabulary(train, settings(kind, size))


def numbers(message: str) -> list[int]:
    return [int(word.strip(":;,")) for word in message.split() if word.strip(":;,").isdigit()]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_long_line_is_lost(tmp_path: Path, kind: str):
    path = tmp_path / "train.txt"
    path.write_text("early " * 40_000 + "late " * 40_000 + "\u2585late " * 9 + "z" * 20_000)
    with pytest.raises(MemlmError) as error:
        make_vocabulary.make_vocabulary(TextFile(path), settings(kind, 9000))
    vocabulary = make_vocabulary.make_vocabulary(TextFile(path), settings(kind, numbers(str(error.value))[2]))
    assert set(vocabulary.words[:3]) >= {"\u2581early", "\u2581late"}


def test_a_large_text_is_sampled_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "train.txt"
    path.write_text("one two three\n" * 200_000 + "four five six\n" * 200_000)
    monkeypatch.setattr(make_vocabulary, "SAMPLE", 500_000)
    lines = list(make_vocabulary._sample(TextFile(path), lowercase=False))
    assert sum(map(len, lines)) == pytest.approx(500_000, rel=0.1)
    assert sum("four" in line for line in lines) == pytest.approx(len(lines) / 2, rel=0.2)  # in whole blocks


def test_they_are_learnt_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MEMLM_DATA", str(tmp_path / "data"))
    path = tmp_path / "train.txt"
    path.write_text("one two three four five\n" * 50_000)
    data = settings("bpe", 280)
    first = make_vocabulary.make_vocabulary(TextFile(path), data)
    (kept,) = (tmp_path / "data" / "encoded").glob("*.pieces")
    with monkeypatch.context() as changed:
        changed.setattr(make_vocabulary, "_trained", None)
        assert make_vocabulary.make_vocabulary(TextFile(path), data).sha256 == first.sha256
    kept.write_bytes(kept.read_bytes()[:-1])
    assert make_vocabulary.make_vocabulary(TextFile(path), data).sha256 == first.sha256
    monkeypatch.setattr("sentencepiece.__version__", "another")
    assert make_vocabulary.make_vocabulary(TextFile(path), data).sha256 == first.sha256
    assert len(list(kept.parent.glob("*.pieces"))) == 2


def test_a_text_without_words_has_no_pieces(tmp_path: Path):
    path = tmp_path / "train.txt"
    path.write_text("<unk>\n\n")
    with pytest.raises(MemlmError, match="no words to learn pieces from"):
        make_vocabulary.make_vocabulary(TextFile(path), settings())


def test_nothing_is_said_and_nothing_left_in_the_folder(
    train: TextFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    make_vocabulary.make_vocabulary(train, settings())
    sys.stdout.flush()
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
