r"""N-gram models in the ARPA format, which SRILM, KenLM and others read.

After the numbers of n-grams there is a line for each: log10 p of the last word, the words, and log10 of the backoff
weight where the n-gram is a context. Words are the model's tokens, whatever these are. `<eos>` is `</s>` where it is
predicted. As a line's start, which is not, it is `<s>`: -99 stands for the log10 p of that.
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
SPACE = "<space>"  # the token that is a space, of characters: the format has spaces between words
BLOCK = 50_000  # n-grams formatted at a time


def write(
    path: Path,
    model: KneserNey,
    words: Sequence[str],
    *,
    overwrite: bool = False,
    report: Callable[[int], object] = lambda lines: None,
) -> None:
    """Write the model, whose word ids are the places of `words`, whole or not at all; `report` hears of lines written.

    Raises MemlmError for a file that is there unless `overwrite`, for one that can't be written, and where `<s>` or
    `</s>` is a word of the vocabulary, which the format has no place for.
    """
    if path.exists() and not overwrite:
        raise MemlmError(f"{path} is there: choose another name or give --overwrite")
    words = [SPACE if word == " " else word for word in words]
    for mark in (START, END):
        if mark in words:
            raise MemlmError(
                f"{mark} is a word of this model, but a mark in an ARPA file: give it another name in the text"
            )
    try:
        with TemporaryDirectory(prefix=".memlm-", suffix=".partial", dir=path.parent) as scratch:
            new = Path(scratch) / path.name
            with new.open("w", encoding="utf-8", newline="\n") as file:
                _write(file, model, words, report)
            new.replace(path)
    except OSError as error:
        raise MemlmError(f"cannot write {path}: {error.strerror}") from None


def _write(file: TextIO, model: KneserNey, words: Sequence[str], report: Callable[[int], object]) -> None:
    tables = [table for table in map(model.head.table, range(1, model.order + 1)) if len(table)]
    file.write("\\data\\\n")
    for order, table in enumerate(tables, start=1):
        file.write(f"ngram {order}={len(table) + (order == 1)}\n")  # order 1 has <s> as well
    before, last = (np.array([*words[: model.eos], mark, *words[model.eos + 1 :]], object) for mark in (START, END))
    ids = np.empty((1, 0), np.int32)  # (n, order - 1) of the order below
    for order, table in enumerate(tables, start=1):
        keys = table.keys.cpu().numpy()
        ids = np.column_stack([ids[keys // len(words)], (keys % len(words)).astype(np.int32)])
        log_p, log_backoff = (values.cpu().numpy() / math.log(10) for values in (table.log_p, table.log_backoff))
        file.write(f"\n\\{order}-grams:\n")
        if order == 1:
            file.write(_line(-99.0, [START], log_backoff[model.eos]))
            log_backoff[model.eos] = 0  # of <s> alone
        for at in range(0, len(ids), BLOCK):
            part = slice(at, at + BLOCK)
            texts = zip(*(before[column] for column in ids[part, :-1].T), last[ids[part, -1]], strict=True)
            lines = map(_line, log_p[part].tolist(), texts, log_backoff[part].tolist())
            file.writelines(lines)
            report(len(ids[part]))
    file.write("\n\\end\\\n")


def _line(log_p: float, words: Sequence[str], log_backoff: float) -> str:
    backoff = f"\t{log_backoff:.7g}" if log_backoff else ""
    return f"{log_p:.7g}\t{' '.join(words)}{backoff}\n"
