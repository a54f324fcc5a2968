"""Pieces of words: any line comes back as it was, a word's pieces depend on it alone, and what is wrong is named."""

import hashlib
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memlm.config.data import DataConfig
from memlm.data import make_vocabulary
from memlm.data.corpus.reading import TextFile, encode, encode_blocks, join, read_words
from memlm.data.vocabulary import pieces
from memlm.data.vocabulary.load import load_vocabulary
from memlm.data.vocabulary.pieces import PieceVocabulary
from memlm.data.vocabulary.words import EOS, UNK
from memlm.errors import MemlmError

WORDS = [
    *("the", "cat", "sat", "on", "mats", "<unk>", "cats", "catch", "nothing", "<s>here</s>", "a<0x41>b"),
    *("x<unk>y", "<eos>s", "naïve", "5000", "50", "\u2581odd"),
]
TEXT = "".join(" ".join(WORDS[i % 7 : 3 + i % 11]) + "\n" for i in range(60))
KINDS = ("unigram", "bpe")
SIZE = 283


def settings(kind: str = "unigram", size: int = SIZE, *, lowercase: bool = False) -> DataConfig:
    return DataConfig(tokenizer="sentencepiece", pieces=kind, vocab_size=size, lowercase=lowercase)


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> TextFile:
    path = tmp_path_factory.mktemp("pieces") / "train.txt"
    path.write_text(TEXT)
    return TextFile(path)


@pytest.fixture(scope="module")
def learnt(train: TextFile) -> dict[str, PieceVocabulary]:
    made = {kind: make_vocabulary.make_vocabulary(train, settings(kind)) for kind in KINDS}
    return {kind: vocabulary for kind, vocabulary in made.items() if isinstance(vocabulary, PieceVocabulary)}


def words_of(line: str) -> list[str]:
    return [word for word in line.split() if word != EOS]  # stands for a line's end, wherever it stands


@pytest.mark.parametrize("kind", KINDS)
@given(st.text() | st.lists(st.sampled_from([*WORDS, "\u2581", "\u2585", "<s>", "</s>", "<0x41>"])).map(" ".join))
@example("\u2581 a\u2581 \u2581\u2581b\u2581c \u2585 \0 e\u0301 \u200d \U0001f469\u200d\U0001f680 <pad> <0xE2>")
@example("\ufffd \uffff \ufeff \x01\x7f \u0085 \u2028x \u00a0 \U0010ffff " + "long" * 700 + "\u2581" * 1500)
def test_any_line_comes_back(learnt: dict[str, PieceVocabulary], kind: str, line: str):
    vocabulary, words = learnt[kind], words_of(line)
    ids = vocabulary.ids_of([*words, EOS])
    assert "".join(vocabulary.spelling(ids)) == " ".join(words) + "\n"
    assert "".join(vocabulary.as_written([*words, EOS])) == "".join(vocabulary.words[i] for i in ids)
    starts = vocabulary.word_starts(ids)
    assert starts.sum() == len(words) + 1
    assert all(word in vocabulary for word in words)
    for word, own in zip([*words, EOS], np.split(ids, np.flatnonzero(starts)[1:]), strict=True):
        assert vocabulary.ids_of([word]).tolist() == own.tolist()  # whatever stands around it


@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(st.sampled_from([*WORDS, EOS, "neverseen"])), st.data())
def test_blocks_may_be_cut_anywhere(
    learnt: dict[str, PieceVocabulary], kind: str, words: list[str], data: st.DataObject
):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(words)), max_size=3)))
    blocks = [words[a:b] for a, b in zip([0, *cuts], [*cuts, len(words)], strict=True)]
    found, whole = join(encode_blocks(blocks, learnt[kind])), join(encode_blocks([words], learnt[kind]))
    assert found.tokens.tolist() == whole.tokens.tolist()
    assert (found.words, found.characters, found.oov) == (len(words), whole.characters, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_by_falling_count(train: TextFile, learnt: dict[str, PieceVocabulary], kind: str):
    vocabulary = learnt[kind]
    tokens = join(encode_blocks(read_words(train), vocabulary)).tokens
    counts = Counter(dict.fromkeys(range(len(vocabulary)), 0) | Counter(tokens.tolist()))
    assert len(vocabulary) == SIZE
    assert sorted(counts, key=lambda i: (-counts[i], vocabulary.words[i])) == list(range(SIZE))
    assert counts[vocabulary.unk] == TEXT.split().count(UNK)
    assert counts[vocabulary.eos] == TEXT.count("\n")


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
def test_a_folder_keeps_all_of_it(learnt: dict[str, PieceVocabulary], kind: str, tmp_path: Path):
    vocabulary = learnt[kind]
    vocabulary.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tokenizer.model", "vocab.txt"]
    other = load_vocabulary(tmp_path, settings(kind))
    assert other.words == vocabulary.words
    assert other.sha256 == vocabulary.sha256
    assert other.ids_of(WORDS).tolist() == vocabulary.ids_of(WORDS).tolist()


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("tokenizer.model", lambda whole: None, "cannot read .*tokenizer.model: No such file or directory"),
        ("tokenizer.model", lambda whole: b"", "tokenizer.model is damaged"),
        ("tokenizer.model", lambda whole: b"no model", "tokenizer.model is damaged"),
        ("tokenizer.model", lambda whole: whole[: len(whole) // 2], "tokenizer.model is damaged"),
        ("vocab.txt", lambda whole: whole.replace(b"<0x41>", b"<0x4>"), "tokenizer.model is damaged"),
        ("vocab.txt", lambda whole: whole.replace(b"<eos>", b"<end>"), "the vocabulary of a text must hold <eos>"),
        ("vocab.txt", lambda whole: None, "no vocabulary at .*vocab.txt"),
    ],
)
def test_a_damaged_one_is_named(learnt: dict[str, PieceVocabulary], tmp_path: Path, file: str, change, message: str):
    learnt["bpe"].save(tmp_path)
    content = change((tmp_path / file).read_bytes())
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_bytes(content)
    with pytest.raises(MemlmError, match=message):
        load_vocabulary(tmp_path, settings("bpe"))


def test_any_change_of_the_model_is_seen(learnt: dict[str, PieceVocabulary], tmp_path: Path):
    vocabulary, rng = learnt["unigram"], np.random.default_rng(1)
    for _ in range(60):
        vocabulary.save(tmp_path)
        damaged = bytearray(vocabulary.model)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        (tmp_path / "tokenizer.model").write_bytes(damaged)
        with suppress(MemlmError):
            assert load_vocabulary(tmp_path, settings()).sha256 != vocabulary.sha256


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


def test_small_letters(train: TextFile, tmp_path: Path):
    path = tmp_path / "train.txt"
    path.write_text(TEXT.upper())
    vocabulary = make_vocabulary.make_vocabulary(TextFile(path), settings(lowercase=True))
    assert vocabulary.ids_of(["CAT", "<eos>"]).tolist() == vocabulary.ids_of(["cat", "<eos>"]).tolist()
    assert "".join(vocabulary.spelling(vocabulary.ids_of(["CAT"]))) == "cat"
    assert vocabulary.sha256 != make_vocabulary.make_vocabulary(TextFile(path), settings()).sha256


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


def test_odd_bytes_are_written_as_they_can_be(learnt: dict[str, PieceVocabulary]):
    vocabulary = learnt["bpe"]
    ids = [
        vocabulary.words.index(piece) for piece in ("<0xE2>", "<0x82>", "<0xAC>", "<0xE2>", "\u2581", EOS, "<0x41>")
    ]
    assert list(vocabulary.spelling(ids)) == ["", "", "\u20ac", "", "\ufffd ", "\n", "A"]
    assert len(vocabulary.ids_of(["lone\ud800"])) > 0  # no text file holds it, a command line may


def test_the_hash_is_of_pieces_and_model(learnt: dict[str, PieceVocabulary]):
    vocabulary = learnt["bpe"]
    other = PieceVocabulary(vocabulary.words[::-1], vocabulary.model)
    assert other.sha256 != vocabulary.sha256 != hashlib.sha256("\n".join(vocabulary.words).encode()).hexdigest()
    assert encode([["cat"]], other).tokens.tolist() != encode([["cat"]], vocabulary).tokens.tolist()
