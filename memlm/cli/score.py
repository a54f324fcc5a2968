"""`memlm score`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memlm import jsontext
from memlm.cli.options import checkpoint_option, device_option
from memlm.config.data import UNITS
from memlm.format import shown

if TYPE_CHECKING:
    from memlm.inference.scoring import ScoredSentence, Sums


@click.command("score")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option("--independent", is_flag=True, help="score each line on its own, without the lines before it")
@checkpoint_option
@device_option
@click.option("--json", "as_json", is_flag=True, help="print JSON lines: objects of type token, sentence and total")
def command(run: Path, file: Path, independent: bool, checkpoint: str, device: str, as_json: bool) -> None:
    """Score each word of a text with one sentence per line. Without FILE, or with -, reads standard input.

    The output has one line per word: the word, its natural log-probability, its rank among all words, and `oov` if it
    is not in the vocabulary (then it is scored as <unk>). A line that starts with # is the summary of a sentence; the
    last line is the summary of the text. If tokens are parts of words, the log-probability of a word is the sum over
    its parts, and it has no rank; --json has the log-probability and the rank of each part.
    """
    from memlm.inference import scoring
    from memlm.inference.load import load_text

    model = load_text(run, checkpoint=checkpoint, device=device)
    sums = scoring.Sums()
    number = 0
    unit = UNITS[model.vocabulary.tokenizer]
    for number, sentence in enumerate(model.score_lines(_read(file), independent=independent), start=1):
        for line in _json_lines(number, sentence) if as_json else _lines(number, sentence, unit):
            click.echo(line)
        sums.add(sentence.tokens)
    if as_json:
        click.echo(jsontext.dumps({"type": "total", "sentences": number} | sums.to_dict()))
    else:
        click.echo(_summary(f"total of {number:,} sentences", sums, unit))


def _read(file: Path) -> Iterator[str]:
    """Yield the lines of the text. Errors when a line is used are not errors of the file: they do not pass here."""
    from memlm.data.corpus.reading import opened
    from memlm.inference.scoring import read_lines

    if str(file) == "-":
        yield from read_lines(sys.stdin.buffer, "standard input")
        return
    with opened(file) as source:
        yield from read_lines(source, str(file))


def _json_lines(number: int, sentence: "ScoredSentence") -> Iterator[str]:
    for token in sentence.tokens:
        yield jsontext.dumps({"type": "token", "sentence": number} | token.to_dict())
    yield jsontext.dumps({"type": "sentence", "sentence": number} | sentence.sums.to_dict())


def _lines(number: int, sentence: "ScoredSentence", unit: str) -> Iterator[str]:
    for token in sentence.tokens:
        flag = "\toov" if token.oov else ""
        yield f"{token.word}\t{token.log_probability:.4f}\t{'-' if token.rank is None else token.rank}{flag}"
    yield _summary(f"sentence {number}", sentence.sums, unit)


def _summary(what: str, sums: "Sums", unit: str) -> str:
    counts, figures = f"{sums.tokens:,} tokens", shown(sums.perplexity)
    if unit != "word":
        counts = f"{sums.words:,} words, {sums.tokens:,} {unit}s"
        figures = f"{shown(sums.word_perplexity)} per word, {figures} per {unit}"
    summary = f"# {what}: {counts}, log-probability {sums.log_probability:.4f}, perplexity {figures}"
    return f"{summary}; {sums.oov} oov, without them {shown(sums.perplexity_without_oov)}" if sums.oov else summary
