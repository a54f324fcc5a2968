"""The ARPA file, read by a reader of its own: plain backoff, as other toolkits do it."""

import math
from pathlib import Path

import numpy as np
import pytest

import memlm as package
from memlm.config.models import KneserNeyConfig
from memlm.data.corpus.reading import count_words, encode
from memlm.data.vocabulary.words import EOS, Vocabulary
from memlm.errors import MemlmError
from memlm.evaluation.perplexity import token_nats
from memlm.models.ngram import arpa
from memlm.models.ngram.kneser_ney import KneserNey
from tests.helpers.command_line import SMALL, Memlm, refused

Grams = dict[tuple[str, ...], tuple[float, float]]


def read(path: Path) -> Grams:
    """Of each n-gram log10 p and the log10 of its backoff weight; the counts of the head must be true."""
    grams: Grams = {}
    promised: dict[int, int] = {}
    found: dict[int, int] = {}
    order = 0
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "\\data\\"
    assert lines[-1] == "\\end\\"
    for line in lines[1:-1]:
        if line.startswith("ngram "):
            n, count = line.removeprefix("ngram ").split("=")
            promised[int(n)] = int(count)
        elif line.startswith("\\"):
            order = int(line[1:].removesuffix("-grams:"))
        elif line:
            log_p, words, *backoff = line.split("\t")
            gram = tuple(words.split(" "))
            assert len(gram) == order
            assert gram not in grams
            grams[gram] = (float(log_p), float(backoff[0]) if backoff else 0.0)
            found[order] = found.get(order, 0) + 1
    assert promised == found
    return grams


def log10_p(grams: Grams, context: tuple[str, ...], word: str) -> float:
    """The longest n-gram that is there, and the backoff weights of the contexts that are too long."""
    if (*context, word) in grams:
        return grams[*context, word][0]
    weight = grams[context][1] if context in grams else 0.0
    return weight + log10_p(grams, context[1:], word)


def nats_of(grams: Grams, lines: list[list[str]], order: int) -> list[float]:
    """-log p of each word of the lines and of their ends."""
    nats = []
    for line in lines:
        sentence = ("<s>", *(word if (word,) in grams else "<unk>" for word in line), "</s>")
        for i in range(1, len(sentence)):
            context = sentence[max(0, i - order + 1) : i]
            nats.append(-math.log(10) * log10_p(grams, context, sentence[i]))
    return nats


def make(lines: list[list[str]], order: int) -> tuple[KneserNey, Vocabulary]:
    vocabulary = Vocabulary.from_counts(count_words([*line, EOS] for line in lines))
    model = KneserNey(KneserNeyConfig(order=order), len(vocabulary), vocabulary.eos)
    for _ in model.count(encode(lines, vocabulary).tokens):
        pass
    return model, vocabulary


@pytest.mark.parametrize("order", [1, 2, 5])
def test_a_reader_of_its_own_gives_the_same_probabilities(order: int, real_data: Path, tmp_path: Path):
    lines = [line.split() for line in (real_data / "ptb/ptb.valid.txt").read_text().splitlines()]
    model, vocabulary = make(lines[:2000], order)
    arpa.write(tmp_path / "a.arpa", model, vocabulary.words)
    grams = read(tmp_path / "a.arpa")
    assert len(grams) == model.parameter_count + 1  # <s>
    for text in (lines[:200], lines[2000:2300]):
        expected = token_nats(model, encode(text, vocabulary).tokens)
        np.testing.assert_allclose(nats_of(grams, text, order), expected, atol=1e-4)


def test_the_probabilities_of_the_file_sum_to_1(tmp_path: Path):
    lines = [["a", "b", "c"], ["a", "b"], [], ["c", "a", "a", "b", "d"]]
    model, vocabulary = make(lines, 3)
    arpa.write(tmp_path / "a.arpa", model, vocabulary.words)
    grams = read(tmp_path / "a.arpa")
    words = [gram[0] for gram in grams if len(gram) == 1 and gram != ("<s>",)]
    assert sorted(words) == ["</s>", "<unk>", "a", "b", "c", "d"]
    assert grams["<s>",][0] == -99
    assert grams["</s>",][1] == 0
    for context in [(), ("<s>",), ("<s>", "a"), ("a", "b"), ("d", "c"), ("<unk>",)]:
        assert sum(10 ** log10_p(grams, context, word) for word in words) == pytest.approx(1, abs=1e-5)


def test_orders_without_n_grams_are_not_promised(tmp_path: Path):
    model, vocabulary = make([["a"], []], 5)
    arpa.write(tmp_path / "a.arpa", model, vocabulary.words)
    assert max(map(len, read(tmp_path / "a.arpa"))) == 3


def test_progress_ends_with_all_n_grams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arpa, "BLOCK", 3)
    model, vocabulary = make([["a", "b", "c"], ["d", "c"]], 3)
    ticks: list[tuple[int, int]] = []
    arpa.write(tmp_path / "a.arpa", model, vocabulary.words, tick=lambda done, total: ticks.append((done, total)))
    assert ticks == sorted(set(ticks))
    assert len(ticks) > 3
    assert ticks[-1] == (model.parameter_count, model.parameter_count)


def test_a_file_that_is_there_is_not_replaced_unasked(tmp_path: Path):
    model, vocabulary = make([["a"]], 2)
    path = tmp_path / "a.arpa"
    path.write_text("mine")
    with pytest.raises(MemlmError, match="exists already: choose another name or give --overwrite"):
        arpa.write(path, model, vocabulary.words)
    assert path.read_text() == "mine"
    arpa.write(path, model, vocabulary.words, overwrite=True)
    assert len(read(path)) == model.parameter_count + 1


def test_what_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model, vocabulary = make([["a"]], 2)
    path = tmp_path / "a.arpa"
    path.write_text("mine")
    monkeypatch.setattr("memlm.models.ngram.arpa._line", lambda *values: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        arpa.write(path, model, vocabulary.words, overwrite=True)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(MemlmError, match="cannot write"):
        arpa.write(tmp_path / "none/a.arpa", model, vocabulary.words)


def test_a_word_that_the_format_takes_for_a_mark_is_refused(tmp_path: Path):
    model, vocabulary = make([["a", "<s>"]], 2)
    with pytest.raises(MemlmError, match="<s> is a word of this model, but ARPA files reserve it"):
        arpa.write(tmp_path / "a.arpa", model, vocabulary.words)
    assert not list(tmp_path.iterdir())


def test_export_at_the_command_line(memlm: Memlm, corpus: Path):
    assert memlm("train", "--dataset", corpus, "--model", "kneser-ney", "--run-dir", "runs/a").exit_code == 0
    result = memlm("export", "runs/a", "--arpa", "a.arpa")
    assert result.exit_code == 0, result.output
    assert "a.arpa: " in result.stdout
    text = (corpus / "test.txt").read_text()
    expected = package.load("runs/a").token_nats(text)
    lines = [line.split() for line in text.splitlines()]
    np.testing.assert_allclose(nats_of(read(Path("a.arpa")), lines, 5), expected, atol=1e-4)
    assert "exists already" in refused(memlm("export", "runs/a", "--arpa", "a.arpa"))
    assert memlm("export", "runs/a", "--arpa", "a.arpa", "--overwrite").exit_code == 0


def test_a_model_without_n_grams_is_refused(memlm: Memlm, corpus: Path):
    assert memlm("train", "--dataset", corpus, *SMALL, "--run-dir", "runs/a").exit_code == 0
    assert "runs/a is a run of memn2n: only kneser-ney has the n-grams of an ARPA file" in refused(
        memlm("export", "runs/a", "--arpa", "a.arpa")
    )
    assert not Path("a.arpa").exists()
