"""The one exception that users see."""

import difflib
from collections.abc import Iterable


class MemlmError(ValueError):
    """What a user can mend: the message is one line that says what is wrong and what would be right.

    The command line prints it without a traceback and exits with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # a file's name may hold a line break


def unknown_name(kind: str, name: str, known: Iterable[str]) -> MemlmError:
    """The error for a name that is not known: lists those that are, the closest first where there is one."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return MemlmError(f"unknown {kind} {name!r}: {hint}known are {', '.join(known)}")
