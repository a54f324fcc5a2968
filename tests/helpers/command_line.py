"""For tests that run the command line: its type, the options of a small run, and the line of a refusal."""

from collections.abc import Callable

from click.testing import Result

Memlm = Callable[..., Result]  # the fixture `memlm`
SMALL = ("--hops", 2, "--memory-size", 8, "--units", 12, "--epochs", 2, "--device", "cpu")


def refused(result: Result) -> str:
    """The one line of a refusal."""
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


def well(result: Result) -> str:
    """The output of a command that ended well."""
    assert result.exit_code == 0, result.output
    return result.output


def lines(output: str) -> list[str]:
    """The lines that are not empty, without the spaces at their ends."""
    return [line.rstrip() for line in output.splitlines() if line.strip()]
