r"""Writes n-gram models in the ARPA format, which SRILM, KenLM and other toolkits read.

The file has the numbers of n-grams, then one line per n-gram: log10 p of the last word, the words, and log10 of the
backoff weight if the n-gram is a context. The words are the model's tokens, of any kind. A predicted `<eos>` is
written as `</s>`. The start of a line is never predicted: it is written as `<s>`, and -99 stands for its log10 p.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import numpy as np

from memlm.errors import MemlmError
from memlm.models.ngram.kneser_ney import KneserNey

START, END = "<s>", "</s>"
SPACE = "<space>"  # stands for the token " " of a character model: in the format, spaces separate words
BLOCK = 50_000  # number of n-grams formatted at a time

Tick = Callable[[int, int], object]  # progress: how much is done, and of how much


def write(
    path: Path,
    model: KneserNey,
    words: Sequence[str],
    *,
    overwrite: bool = False,
    tick: Tick = lambda done, total: None,
) -> None:
    """Write the model, whole or not at all. Word id i of the model is `words[i]`.

    `tick(done, total)` gets the number of n-grams written so far, and of all. Raises MemlmError if the file exists and
    `overwrite` is false, if it cannot be written, or if `<s>` or `</s>` is a word of the vocabulary: the format
    reserves both.
    """
    if path.exists() and not overwrite:
        raise MemlmError(f"{path} exists already: choose another name or give --overwrite")
    words = [SPACE if word == " " else word for word in words]
    for mark in (START, END):
        if mark in words:
            raise MemlmError(
                f"{mark} is a word of this model, but ARPA files reserve it: replace it by another word in the text"
            )
    try:
        with TemporaryDirectory(prefix=".memlm-", suffix=".partial", dir=path.parent) as scratch:
            new = Path(scratch) / path.name
            with new.open("w", encoding="utf-8", newline="\n") as file:
                _write(file, model, words, tick)
            new.replace(path)
    except OSError as error:
        raise MemlmError(f"cannot write {path}: {error.strerror}") from None


def _write(file: TextIO, model: KneserNey, words: Sequence[str], tick: Tick) -> None:
    done, total = 0, model.parameter_count
    tables = [table for table in map(model.head.table, range(1, model.order + 1)) if len(table)]
    file.write("\\data\\\n")
    for order, table in enumerate(tables, start=1):
        file.write(f"ngram {order}={len(table) + (order == 1)}\n")  # order 1 has <s> too
    before, last = (np.array([*words[: model.eos], mark, *words[model.eos + 1 :]], object) for mark in (START, END))
    ids = np.empty((1, 0), np.int32)  # (n, order - 1) of the order below
    for order, table in enumerate(tables, start=1):
        keys = table.keys.cpu().numpy()
        ids = np.column_stack([ids[keys // len(words)], (keys % len(words)).astype(np.int32)])
        log_p, log_backoff = (values.cpu().numpy() / math.log(10) for values in (table.log_p, table.log_backoff))
        file.write(f"\n\\{order}-grams:\n")
        if order == 1:
            file.write(_line(-99.0, [START], log_backoff[model.eos]))
            log_backoff[model.eos] = 0  # only <s> is a context, </s> is not
        for at in range(0, len(ids), BLOCK):
            part = slice(at, at + BLOCK)
            texts = zip(*(before[column] for column in ids[part, :-1].T), last[ids[part, -1]], strict=True)
            lines = map(_line, log_p[part].tolist(), texts, log_backoff[part].tolist())
            file.writelines(lines)
            done += len(ids[part])
            tick(done, total)
    file.write("\n\\end\\\n")


def _line(log_p: float, words: Sequence[str], log_backoff: float) -> str:
    backoff = f"\t{log_backoff:.7g}" if log_backoff else ""
    return f"{log_p:.7g}\t{' '.join(words)}{backoff}\n"
