"""Places in a file where a text can be cut, and the pieces between them, which can be read side by side."""

import re
from io import BufferedReader
from itertools import pairwise

from memlm.data.corpus import BLOCK, TextFile, opened, size_of

# After a line feed, or a space after a letter that is surely none: no word is cut, and it is known whether a line is.
BETWEEN_WORDS = re.compile(rb"\n|[!-~] ")


def border_after(file: BufferedReader, border: re.Pattern[bytes], place: int, end: int) -> int:
    """Where the first border ends, at `place` or later; `end` where there is none before it."""
    at = file.seek(max(0, place - 1))
    while at < end and (data := file.read(min(BLOCK, end - at))):
        if found := border.search(data):
            return at + found.end()
        at += len(data)
    return end


def cut(text: TextFile, count: int) -> list[TextFile]:
    """At most `count` pieces of about the same size, in order; read one after the other they give the text's words."""
    size = size_of(text)
    end = text.start + size
    with opened(text.path) as file:
        wanted = [text.start + max(1, size * i // count) for i in range(1, count)]  # what is before it counts nothing
        inner = {border_after(file, BETWEEN_WORDS, place, end) for place in wanted}
        cuts = sorted({text.start, *inner, end})
        pieces = []
        for start, stop in pairwise(cuts):
            file.seek(max(0, start - 1))
            begins_line = text.begins_line if start == text.start else file.read(1) == b"\n"
            ends_line = text.ends_line if stop == end else False
            pieces.append(TextFile(text.path, start, stop, begins_line=begins_line, ends_line=ends_line))
    return pieces
