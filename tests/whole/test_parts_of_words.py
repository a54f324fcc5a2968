"""Runs whose tokens are pieces or characters, from the command line and from Python: words are counted as words."""

import json
import math
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import memlm as package
from memlm.cli import main
from memlm.data.corpus import encoded, workers
from memlm.data.corpus.reading import TextFile, encode_blocks, join, read_words
from memlm.evaluation import records
from memlm.runs.folder import RunFolder
from tests.helpers.command_line import Memlm, refused

PIECES = ("--tokenizer", "sentencepiece", "--pieces", "bpe", "--vocab-size", 290)
TINY = ("--hops", 1, "--memory-size", 4, "--units", 6, "--epochs", 1, "--device", "cpu")
COUNTED = ("--model", "kneser-ney", "--order", 3)
RUNS = {
    "words": TINY,
    "pieces": (*TINY, *PIECES),
    "characters": (*TINY, "--level", "char"),
    "counted": (*COUNTED, *PIECES),
    "letters": (*COUNTED, "--level", "char"),
}
PARTS = ["pieces", "characters"]
LINE = "the cats catched a\u2581b <unk> qu\u00ef"
WORDS = [*LINE.split(), "<eos>"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, and a run of each kind."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "corpus").mkdir()
    for split, lines in (("train", 120), ("valid", 210), ("test", 220)):
        text = "".join(f"{('the', 'a')[i % 2]} cat{'s' * (i % 3)} catch{'ed' * (i % 2)} it\n" for i in range(lines))
        (folder / "corpus" / f"{split}.txt").write_text(text + ("" if split == "train" else "une\u00efn \U0001f600\n"))
    for name, options in RUNS.items():
        command = ("train", "--dataset", folder / "corpus", *options, "--run-dir", folder / "runs" / name)
        result = CliRunner().invoke(main, [str(word) for word in command])
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def runs(memlm: Memlm, made: Path) -> Path:
    """The runs, to be changed at will, and the corpus where it was."""
    shutil.copytree(made / "runs", "runs")
    return Path("runs")


def test_perplexity_is_by_the_words_of_the_text(runs: Path, made: Path):
    text = (made / "corpus" / "test.txt").read_text()
    words = len(text.split()) + text.count("\n")
    found = {name: RunFolder.open(runs / name).read_json(records.EVALUATIONS)["test/exact/best"] for name in RUNS}
    for name, passport in found.items():
        assert passport["words"] == words
        assert passport["characters"] == len(text)
        assert passport["word_perplexity"] == pytest.approx(math.exp(passport["nats"] / words))
        assert passport["perplexity"] == pytest.approx(math.exp(passport["nats"] / passport["tokens"]))
        assert passport["bits_per_character"] == pytest.approx(passport["nats"] / math.log(2) / len(text))
        assert passport["oov"] == {"words": 2, "pieces": 0, "counted": 0}.get(name, len("un\u00efn\U0001f600"))
        summary = json.loads((runs / name / "summary.json").read_text())
        assert summary["test_word_perplexity"] == passport["word_perplexity"]
    assert found["words"]["tokens"] == words < found["pieces"]["tokens"] < found["characters"]["tokens"] == len(text)
    assert len({passport["text_sha256"] for passport in found.values()}) == 1


@pytest.mark.parametrize("name", RUNS)
def test_the_nats_of_words_are_those_of_their_parts(runs: Path, made: Path, name: str):
    model = package.load(runs / name)
    lines = (made / "corpus" / "test.txt").read_text().splitlines()[:30]
    scored = [token for sentence in model.score_lines(lines) for token in sentence.tokens]
    kept = records.best_nats(model.run, "test")
    assert kept[: len(scored)] == pytest.approx([-token.log_probability for token in scored], rel=1e-3, abs=1e-4)
    for token in scored if name in PARTS else ():
        assert token.rank is None
        assert token.log_probability == pytest.approx(sum(part.log_probability for part in token.parts))


def test_one_table_for_all_of_them(runs: Path, memlm: Memlm):
    shown = memlm("compare", *(runs / name for name in RUNS), "--plot", "curves.png")
    assert shown.exit_code == 0, shown.output
    rows = json.loads(memlm("compare", *(runs / name for name in RUNS), "--json").stdout)
    assert len({(row["test_words"], row["test_characters"]) for row in rows}) == 1
    for row in rows:
        assert f"{row['test_word_perplexity']:.2f}" in shown.stdout
        assert f"{row['test_bits_per_character']:.3f}" in shown.stdout
    assert [row["pieces"] for row in rows] == [None, "bpe", None, "bpe", None]
    for kind in ("words", "290 pieces (bpe)", "characters"):
        assert kind in shown.stdout
    told = rows[1]["differences_from_first"]["test"]
    assert told["perplexity_ratio"] == pytest.approx(rows[1]["test_word_perplexity"] / rows[0]["test_word_perplexity"])
    warned = [line.partition(":")[0] for line in shown.stdout.splitlines() if " tokens of test as <unk>" in line]
    assert warned == [
        f"runs/{name} scores {count} tokens of test as <unk>, runs/pieces only 0"
        for name, count in (("words", 2), ("characters", 5), ("letters", 5))
    ]


def test_other_texts_and_protocols_do_not_compare(runs: Path, memlm: Memlm, tmp_path: Path):
    shutil.copytree(json.loads((runs / "pieces" / "summary.json").read_text())["dataset"], tmp_path / "corpus")
    (tmp_path / "corpus" / "test.txt").write_text("another text\n")
    assert memlm("train", "--dataset", "corpus", *COUNTED, "--run-dir", runs / "other").exit_code == 0
    assert "can't be compared" in refused(memlm("compare", runs / "pieces", runs / "other"))
    for split in ("valid", "test"):
        for name in PARTS:
            told = memlm("eval", runs / name, "--protocol", "facebook", "--split", split)
            assert told.exit_code == 0, told.output
            assert " per word" not in told.output
    pair = [runs / name for name in PARTS]
    assert "the tokenizer differs" in refused(memlm("compare", *pair, "--protocol", "facebook"))
    message = "protocol facebook has no perplexity per word for parts of words: use protocol exact"
    assert refused(memlm("compare", pair[0], "--protocol", "facebook")) == message


@pytest.mark.parametrize("name", PARTS)
def test_a_run_needs_nothing_else(runs: Path, memlm: Memlm, made: Path, name: str):
    shutil.copy(made / "corpus" / "test.txt", "text")
    told = json.loads(memlm("eval", runs / name, "--text", "text", "--json").stdout)
    kept = json.loads((runs / name / records.EVALUATIONS).read_text())["test/exact/best"]
    assert told["word_perplexity"] == pytest.approx(kept["word_perplexity"])
    line = memlm("eval", runs / name, "--text", "text").stdout
    assert (
        f"perplexity {told['word_perplexity']:.2f} per word, {told['perplexity']:.2f} per {name.removesuffix('s')}"
        in line
    )
    assert f"({told['words']:,} words, {told['tokens']:,} {name}, " in line


def test_a_damaged_model_of_pieces_is_named(runs: Path, memlm: Memlm):
    path = runs / "pieces" / "tokenizer.model"
    whole = path.read_bytes()
    for damaged in (b"", whole[:-40], whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(damaged)
        assert " is damaged" in refused(memlm("eval", runs / "pieces"))
    path.unlink()
    assert "cannot read runs/pieces/tokenizer.model" in refused(memlm("eval", runs / "pieces"))


@pytest.mark.parametrize("name", PARTS)
def test_score_is_a_line_a_word(runs: Path, memlm: Memlm, name: str):
    Path("text").write_text(LINE + "\n")
    *lines, sums, total = memlm("score", runs / name, "text").output.splitlines()
    assert [line.split("\t")[0] for line in lines] == WORDS
    assert {line.split("\t")[2] for line in lines} == {"-"}
    oov = [word for word, line in zip(WORDS, lines, strict=True) if line.endswith("\toov")]
    assert oov == ([] if name == "pieces" else ["a\u2581b", "<unk>", "qu\u00ef"])
    assert f": {len(WORDS)} words, " in sums
    assert total.startswith("# total of 1 sentences")
    *tokens, _, of_all = map(json.loads, memlm("score", runs / name, "text", "--json").output.splitlines())
    evaluated = json.loads(memlm("eval", runs / name, "--text", "text", "--json").stdout)
    for key in ("words", "tokens", "oov", "perplexity", "perplexity_without_oov", "word_perplexity"):
        assert of_all[key] == pytest.approx(evaluated[key], rel=1e-4), key
    assert f"perplexity {of_all['word_perplexity']:.2f} per word, {of_all['perplexity']:.2f} per {name[:-1]}" in total
    parts = [part["token"] for token in tokens for part in token["parts"]]
    if name == "pieces":
        assert parts == package.load(runs / name).vocabulary.as_written(WORDS)
        assert parts[0] == "\u2581the"
    else:
        assert len(parts) == len(LINE) + 1


@pytest.mark.parametrize("name", [*PARTS, "counted", "letters"])
def test_texts_are_written_in_words(runs: Path, memlm: Memlm, name: str):
    command = ("generate", runs / name, "--prompt", "the cat", "--words", 12, "--seed", 3)
    text = memlm(*command).output
    assert memlm(*command).output == text
    told = json.loads(memlm(*command, "--json").output)
    assert text.rstrip("\n") == ("the cat" + told["text"]).rstrip("\n")
    assert "\u2581" not in text
    assert "  " not in text
    goes_on = "\n" not in told["text"][:1] and told["text"][:1] not in ("", " ")
    if name not in PARTS:  # hardly trained, they write spaces without end
        assert len(told["words"]) == 12 + goes_on  # the prompt's last word
    assert told["log_probability"] < 0
    assert package.load(runs / name).next_word("the cat").probabilities.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["words", *PARTS])
def test_a_prompt_is_shown_as_it_was_read(runs: Path, memlm: Memlm, name: str):
    for prompt, read in (("the cat", "the cat"), ("the cat \t ", "the cat"), ("the cat\n ", "the cat\n")):
        command = ("generate", runs / name, "--words", 5, "--seed", 3, "--prompt")
        told, same = (json.loads(memlm(*command, text, "--json").output) for text in (prompt, read))
        assert told == same
        assert told["prompt"] == read
        assert memlm(*command, prompt).output.rstrip("\n") == (read + told["text"]).rstrip("\n")


@pytest.mark.parametrize(("name", "label"), [("pieces", "\u2581the"), ("characters", "\u2423")])
def test_attention_names_the_parts(runs: Path, memlm: Memlm, name: str, label: str):
    shown = memlm("attend", runs / name, "--text", "the cat", "--plot", "map.svg")
    assert shown.exit_code == 0, shown.output
    assert label in shown.output
    told = json.loads(memlm("attend", runs / name, "--text", "the cat", "--word", "cat", "--json").output)
    (prediction,) = told["predictions"]
    assert told["words"] == package.load(runs / name).vocabulary.as_written(["the", "cat"])
    assert prediction["word"][0] in ("\u2581", " ")
    assert memlm("attend", runs / name, "--text", "the cat", "--all").exit_code == 0
    average = memlm("attend", runs / name, "--average").stdout
    unit = name.removesuffix("s")
    assert f"(next {unit})" in shown.stdout
    assert f"A block is a {unit}; " in average
    assert "word" not in shown.stdout + average


def test_wrappers_and_mixtures(runs: Path, memlm: Memlm):
    told = memlm("eval", runs / "pieces", "--mix", runs / "counted", "--json")
    assert told.exit_code == 0, told.output
    alone = records.best_passport(RunFolder.open(runs / "pieces"), "test", "exact")
    assert json.loads(told.stdout)["word_perplexity"] < alone["word_perplexity"]
    message = refused(memlm("eval", runs / "pieces", "--mix", runs / "letters"))
    assert message == "runs/letters can't be mixed with runs/pieces: their vocabularies differ"


@pytest.mark.parametrize("name", ["counted", "letters"])
def test_an_arpa_file_has_the_tokens_as_words(runs: Path, memlm: Memlm, name: str):
    assert memlm("export", runs / name, "--arpa", "model.arpa").exit_code == 0
    lines = [line.split("\t") for line in Path("model.arpa").read_text().splitlines()]
    unigrams = {line[1] for line in lines if len(line) > 1 and " " not in line[1]}
    assert len(unigrams) == len(package.load(runs / name).vocabulary) + 1  # <s>
    assert {"</s>", "<space>" if name == "letters" else "\u2581the"} <= unigrams


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--vocab-size", 100), "vocab_size is 100; it must be at least "),
        (("--vocab-size", 5000), "vocab_size is 5000; it must be from "),
        (("--vocab-size", 2**31 - 1), "vocab_size is 2147483647; it must be at most 1,000,000"),
        (("--min-count", 2), "min_count is 2, which does not fit tokenizer sentencepiece"),
    ],
)
def test_what_can_not_be_is_one_line(memlm: Memlm, made: Path, options: Any, message: str):
    result = memlm("train", "--dataset", made / "corpus", *COUNTED, *PIECES, *options)
    assert refused(result).startswith(message)
    assert not Path("runs").exists()


def test_the_settings_of_a_run_of_words_serve(memlm: Memlm, made: Path):
    assert memlm("train", "--dataset", made / "corpus", *COUNTED, "--run-dir", "runs/words").exit_code == 0
    recorded = Path("runs/words/config.toml")
    assert tomllib.loads(recorded.read_text())["data"]["min_count"] == 1
    result = memlm("train", "--config", recorded, *PIECES, "--run-dir", "runs/pieces")
    assert result.exit_code == 0, result.output
    assert package.load("runs/pieces").vocabulary.tokenizer == "sentencepiece"


@pytest.mark.parametrize("name", PARTS)
def test_a_text_cut_up_among_processes_has_the_same_tokens(
    runs: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "text").write_text("the cats catched it <unk> and\n\nmore \u00ef " * 2000)
    text, vocabulary = TextFile(tmp_path / "text"), package.load(runs / name).vocabulary
    whole = join(encode_blocks(read_words(text), vocabulary))
    for module, constant in ((encoded, "WORTH_CACHING"), (workers, "WORTH"), (workers, "PIECE")):
        monkeypatch.setattr(module, constant, 1000)
    monkeypatch.setattr(workers, "_cores", lambda: 3)
    found = encoded.load_encoded(text, vocabulary)
    assert found.tokens.tolist() == whole.tokens.tolist()
    assert found.unknown.tolist() == whole.unknown.tolist()
    assert (found.words, found.characters) == (whole.words, whole.characters)
    assert np.count_nonzero(vocabulary.word_starts(found.tokens)) == found.words


def test_a_perplexity_that_overflows_is_compared_and_a_large_one_is_short(memlm: Memlm):
    """Words of hundreds of characters, as in a text without spaces."""
    random = np.random.default_rng(1)
    for length in (300, 20):
        words = ("".join(chr(0x4E00 + i) for i in random.integers(400, size=length)) for _ in range(200))
        Path(f"{length}.txt").write_text("\n".join(words))
        for order in (1, 2):
            command = ("train", "--dataset", f"{length}.txt", "--level", "char", "--model", "kneser-ney")
            assert memlm(*command, "--order", order, "--run-dir", f"{length}-{order}").exit_code == 0
    shown = memlm("compare", "300-1", "300-2", "--plot", "curves.svg")
    assert shown.exit_code == 0, shown.output
    assert " inf " in shown.stdout
    assert "300-2: inf" in Path("curves.svg").read_text()
    assert json.loads(memlm("compare", "300-1", "300-2", "--json").stdout)[0]["test_word_perplexity"] is None
    for output in (memlm("compare", "20-1", "20-2").stdout, memlm("eval", "20-1").stdout):
        assert re.search(r" \d\.\d+e\+\d\d ", output)
        assert not re.search(r"\d{12}", output)
