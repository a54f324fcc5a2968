"""The exception for errors that users can fix."""

import difflib
from collections.abc import Iterable


class MemlmError(ValueError):
    """An error that a user can fix. The message is one line that says what is wrong and what to do.

    The command line prints it without a traceback and exits with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # a file name may contain a line break


def unknown_name(kind: str, name: str, known: Iterable[str]) -> MemlmError:
    """The error for an unknown name. It suggests the closest known name, if there is one, and lists all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return MemlmError(f"unknown {kind} {name!r}: {hint}known are {', '.join(known)}")
