"""The one exception that users see."""


class MemlmError(ValueError):
    """What a user can mend: the message is one line that says what is wrong and what would be right.

    The command line prints it without a traceback and exits with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # a file's name may hold a line break
