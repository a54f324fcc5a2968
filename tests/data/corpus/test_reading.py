"""A text is read in blocks: one <eos> per line, unknown words counted, bad bytes named."""

import hashlib
import tracemalloc
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memlm.data.corpus.reading import (
    TextFile,
    count_words,
    encode,
    encode_blocks,
    join,
    read_words,
    sha256_of,
    size_of,
)
from memlm.data.vocabulary.words import EOS, UNK, Vocabulary
from memlm.errors import MemlmError

# White space of all kinds, marks that stand in the text, and letters of one to four bytes.
PIECES = [*" \n\n\t\r\x0b\x0c\x1c\x1d\x85\xa0\u2028\u3000", "\ufeff", "a", "b", "é", "€", "😀", EOS, UNK]
TEXTS = st.one_of(
    st.lists(st.sampled_from(PIECES)).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
)
FULL = TEXTS.filter(lambda text: text not in ("", "\ufeff"))
SIZES = st.integers(1, 12)


def naive_lines(content: bytes) -> list[list[str]]:
    """What read_words promises, of a text that is in memory: the lines' words, each line with its <eos>."""
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":
        del lines[-1]
    return [[*line.decode().split(), EOS] for line in lines]


def as_read(words: list[str]) -> str:
    """The text of words, as it is said to be read: one space between the words of a line, a line feed after it."""
    lines: list[list[str]] = [[]]
    for word in words:
        if word == EOS:
            lines.append([])
        else:
            lines[-1].append(word)
    return "".join(" ".join(line) + "\n" for line in lines[:-1])


def flat(blocks: Iterable[list[str]]) -> list[str]:
    return [word for words in blocks for word in words]


@pytest.fixture(scope="module")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("texts") / "text"


@given(FULL, SIZES)
def test_blocks_of_any_size_give_the_same_words(text_file: Path, text: str, block: int):
    text_file.write_bytes(text.encode())
    assert flat(read_words(TextFile(text_file), block=block)) == flat(naive_lines(text.encode()))


def first_fault(content: bytes) -> str:
    """What is wrong with the first line that is no text, and where; empty if all are."""
    for number, line in enumerate(content.split(b"\n"), 1):
        before, nul, _ = line.partition(b"\0")
        try:
            getincrementaldecoder("utf-8")().decode(before, final=not nul)
        except UnicodeDecodeError as error:
            return f" (line {number}, byte {error.start + 1})"
        if nul:
            return f": it holds a NUL (line {number}, byte {len(before) + 1})"
    return ""


ODD_BYTES = [b"a", b"\n", b"\xe2", b"\x82", b"\xac", b"\0", b"\xef\xbb\xbf"]


@given(st.binary(min_size=1) | st.lists(st.sampled_from(ODD_BYTES)).map(b"".join), SIZES)
@example(b"fine\n\xe2\x82\xac\xe2\x82", 1)
@example(b"\xef\xbb\xbfa\xff", 2)
def test_bad_bytes_are_named_whatever_the_block(text_file: Path, content: bytes, block: int):
    text_file.write_bytes(content)
    if fault := first_fault(content):
        with pytest.raises(MemlmError) as raised:
            flat(read_words(TextFile(text_file), block=block))
        assert str(raised.value) == f"{text_file} is not UTF-8 text{fault}"
    elif content not in (b"", b"\xef\xbb\xbf"):
        assert flat(read_words(TextFile(text_file), block=block)) == flat(naive_lines(content))


@given(st.binary(), st.lists(st.sampled_from([*ODD_BYTES, b"a\n"])).map(b"".join), st.binary(), SIZES)
def test_bytes_of_a_file_are_read_as_a_file_of_them_is(
    text_file: Path, before: bytes, content: bytes, after: bytes, block: int
):
    before = b"x" + before  # a byte order mark is one at the start of the file alone
    whole = text_file.with_name("whole")
    whole.write_bytes(before + content + after)
    text_file.write_bytes(b"\n" + content)
    part = TextFile(whole, len(before), len(before) + len(content))
    assert size_of(part) == len(content)
    assert sha256_of(part) == hashlib.sha256(content).hexdigest()
    if first_fault(content):
        with pytest.raises(MemlmError) as raised:
            flat(read_words(part, block=block))
        # The line and the byte are those in the whole file, be the text before them one or not.
        place = first_fault(b"x" * (len(before) - before.rfind(b"\n") - 1) + content)
        number = int(place.split("line ")[1].split(",")[0])
        expected = place.replace(f"line {number},", f"line {number + before.count(10)},")
        assert str(raised.value) == f"{whole} is not UTF-8 text{expected}"
    elif content:
        assert [EOS, *flat(read_words(part, block=block))] == flat(read_words(TextFile(text_file), block=block))


@given(FULL, TEXTS, SIZES)
def test_files_are_counted_and_encoded_as_lines_in_memory_are(text_file: Path, text: str, known: str, block: int):
    text_file.write_bytes(text.encode())
    lines = naive_lines(text.encode())
    assert count_words(read_words(TextFile(text_file), block=block)) == Counter(flat(lines))
    vocabulary = Vocabulary.from_counts(Counter(known.split()))
    found = join(encode_blocks(read_words(TextFile(text_file), block=block), vocabulary))
    places = {word: i for i, word in enumerate(vocabulary.words)}
    assert found.tokens.dtype == np.int32
    assert found.tokens.tolist() == [places.get(word, vocabulary.unk) for word in flat(lines)]
    assert found.unknown.tolist() == [at for at, word in enumerate(flat(lines)) if word not in places]
    assert found.characters == len(as_read(flat(lines)))
    in_memory = encode((line[:-1] for line in lines), vocabulary)
    assert in_memory.tokens.tolist() == found.tokens.tolist()
    assert in_memory.unknown.tolist() == found.unknown.tolist()
    assert in_memory.characters == found.characters


def test_a_word_longer_than_a_block_is_one_word(text_file: Path):
    word = "é" * 700_000
    text_file.write_bytes(f"a {word} b{word}".encode())
    assert flat(read_words(TextFile(text_file))) == ["a", word, "b" + word, EOS]
    text_file.write_bytes(b"a" * 3_000)
    assert flat(read_words(TextFile(text_file), block=7)) == ["a" * 3_000, EOS]


def test_a_text_of_one_line_is_never_in_memory(text_file: Path, vocabulary: Vocabulary):
    text_file.write_bytes(b"the cat sat on a mat " * 100_000)
    tracemalloc.start()
    try:
        assert count_words(read_words(TextFile(text_file), block=1 << 14))["cat"] == 100_000
        total = sum(
            len(piece.tokens) for piece in encode_blocks(read_words(TextFile(text_file), block=1 << 14), vocabulary)
        )
        assert total == 600_001
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000  # bytes; the file has 2.1 million, a list of its words would have 40 million


def test_encoding_counts_what_it_does_not_know(vocabulary: Vocabulary):
    text = encode([["the", "dog", "sat"], [], ["<unk>", "on"]], vocabulary)
    assert text.tokens.tolist() == [2, 1, 4, 0, 0, 1, 5, 0]
    assert text.unknown.tolist() == [1]  # <unk> itself is a known word
    assert text.oov == 1
    assert text.characters == len("the dog sat\n\n<unk> on\n")


def test_lines_end_at_line_feeds_alone(tmp_path: Path):
    path = tmp_path / "text"
    path.write_bytes("one\u2028two\r\nthree\x0cfour\n\nfive".encode())
    assert flat(read_words(TextFile(path))) == ["one", "two", EOS, "three", "four", EOS, EOS, "five", EOS]


def test_a_line_of_ten_megabytes_is_read_but_not_as_one_word(text_file: Path):
    text_file.write_bytes(b"fine\n" + b"abcd " * 2_000_000 + b"\nend")
    assert count_words(read_words(TextFile(text_file))) == {"fine": 1, "abcd": 2_000_000, "end": 1, EOS: 3}
    text_file.write_bytes(b"fine\n" + b"a" * 10_000_000)
    with pytest.raises(MemlmError, match=r"a word of more than 1,000,000 characters \(line 2, byte \d+\)"):
        flat(read_words(TextFile(text_file)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"one line", ["one", "line", EOS]),
        (b"\n", [EOS]),
        (b"\xef\xbb\xbf\n", [EOS]),
        (b"\xef\xbb\xbfa b\r\n\r\nc\r\n", ["a", "b", EOS, EOS, "c", EOS]),
        ("a\ufeff\n\ufeffb".encode(), ["a\ufeff", EOS, "\ufeffb", EOS]),  # a mark is one at the start alone
        (b"a\rb\r", ["a", "b", EOS]),  # old Macintosh: one line
    ],
)
def test_ends_of_lines_and_marks(content: bytes, words: list[str], text_file: Path):
    text_file.write_bytes(content)
    assert flat(read_words(TextFile(text_file))) == words


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"fine\nna\xefve\n", r"is not UTF-8 text \(line 2, byte 3\)"),
        (b"fine\nb\0ad\n", r"is not UTF-8 text: it holds a NUL \(line 2, byte 2\)"),
        ("fine".encode("utf-16-le"), r"is not UTF-8 text: it holds a NUL \(line 1, byte 2\)"),
        ("fine".encode("utf-16"), r"is not UTF-8 text \(line 1, byte 1\)"),
    ],
)
def test_unreadable_files_are_named(content: bytes, message: str, tmp_path: Path):
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(MemlmError, match=f"{path} {message}"):
        list(read_words(TextFile(path)))


@pytest.mark.parametrize(("name", "message"), [("nothing", "no file at"), (".", "cannot read")])
def test_what_cannot_be_opened_is_named(name: str, message: str, tmp_path: Path):
    with pytest.raises(MemlmError, match=f"{message} {tmp_path}"):
        list(read_words(TextFile(tmp_path / name)))


def test_penn_treebank_has_its_known_counts(real_data: Path):
    files = {split: real_data / "ptb" / f"ptb.{split}.txt" for split in ("train", "valid", "test")}
    vocabulary = Vocabulary.from_counts(count_words(read_words(TextFile(files["train"]))))
    assert len(vocabulary) == 10_000
    encoded = {split: join(encode_blocks(read_words(TextFile(path)), vocabulary)) for split, path in files.items()}
    assert [len(text.tokens) for text in encoded.values()] == [929_589, 73_760, 82_430]
    assert [text.oov for text in encoded.values()] == [0, 0, 0]
    assert [text.characters for text in encoded.values()] == [
        sum(len(" ".join(line.split())) + 1 for line in path.read_text().splitlines()) for path in files.values()
    ]
