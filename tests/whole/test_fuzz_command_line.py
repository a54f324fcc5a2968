"""Any text for any argument and option of any verb: new ones are covered as they come."""

import resource
import shutil
import signal
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click
import pytest
import requests
from click.testing import CliRunner
from hypothesis import strategies as st

from memlm.cli import main
from tests.helpers.command_line import SMALL
from tests.helpers.fuzzing import Fuzz
from tests.helpers.mirrors import BOGUS, TEXTS, toy

pytestmark = pytest.mark.soak

MEMORY = 4 << 30  # bytes on top of what the process has: settings that ask for more are refused, and the machine lives
TOO_LONG = ("bench", "doctor")  # they measure for minutes, whatever they are asked: their options are left to click
ASKED_FOR = ("samples", "words", "length", "lines")  # how much is to be done: as much is done as is asked for
QUICK = {"train": ("--dataset", "corpus", *map(str, SMALL), "--max-steps", "1")}
NUMBERS = [0, 1, 2, 3, 7, -1, 2**31, 2**63, 10**30, -(10**30), 0.5, 1e-300, 1e300, "nan", "inf", "1_000", "٣", "0x10"]
WORDS = [
    "",
    " ",
    "-",
    "--",
    ".",
    "é",
    "\udcff",
    "a b",
    "a\nb",
    "%s",
    "{x}",
    "[bold]",
    "null",
    "x" * 300,
    "run",
    "corpus",
]
WORDS += ["toy", "run/config.toml", "corpus/train.txt", "http://nowhere.invalid/x", "https://[", "ftp://x", "--help"]
# A command line can't hold a NUL, nor a surrogate but those that stand for bytes, as the one above does.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
VALUES = st.sampled_from([*map(str, NUMBERS), *WORDS]) | TEXT | st.integers().map(str)


def stays(value: str) -> bool:
    """Whether a value that is taken for a path stays in the folder: what a user names elsewhere is his to write to."""
    return not value.lstrip().startswith(("/", "~")) and ".." not in value and "\0" not in value


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every verb, by the words that name it."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from commands(inner, (*path, name))


VERBS = dict(commands(main))


def given_to(parameter: click.Parameter) -> st.SearchStrategy[list[str]]:
    """An option with its value, or an argument, of any text or of a kind that it takes."""
    values = VALUES.filter(stays)
    if isinstance(parameter.type, click.Choice):
        values |= st.sampled_from(list(parameter.type.choices))
    if isinstance(parameter, click.Argument):
        return st.lists(values, min_size=1, max_size=3 if parameter.nargs == -1 else 1)
    assert isinstance(parameter, click.Option)
    if parameter.name in ASKED_FOR:
        values = values.filter(lambda value: not (value.strip().isdecimal() and int(value) > 9))
    name = st.sampled_from([*parameter.opts, *parameter.secondary_opts])
    if parameter.is_flag:
        return st.tuples(name).map(list)
    return st.tuples(name, values).map(list)


def usual(path: tuple[str, ...], command: click.Command) -> list[str]:
    """Arguments that the verb takes: the run, or the dataset."""
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    return [("run" if "run" in str(argument.name) else "toy") for argument in arguments]


def lines(path: tuple[str, ...], command: click.Command) -> st.SearchStrategy[list[str]]:
    """Command lines of a verb: its usual arguments, or any, and up to three options."""
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    fixed = [*QUICK.get(" ".join(path), ())]
    arguments: st.SearchStrategy[list[str]] = st.just(usual(path, command))
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            arguments |= given_to(parameter)
    chosen = st.lists(st.sampled_from(options).flatmap(given_to), max_size=3) if options else st.just([])
    return st.builds(lambda some, more: [*path, *fixed, *some, *chain(*more)], arguments, chosen)


@pytest.fixture
def small_machine() -> Iterator[None]:
    """A limit to the memory, and the signals as they were."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def prepare(fuzz: Fuzz, corpus: Path) -> None:
    """A corpus, a run and a dataset, by names that are short."""
    shutil.copytree(corpus, "corpus")
    for name, text in TEXTS.items():
        Path("data/toy").mkdir(parents=True, exist_ok=True)
        Path("data/toy", name).write_bytes(text)
    result = CliRunner().invoke(main, ["train", *QUICK["train"], "--run-dir", "run"])
    assert result.exit_code == 0, result.output
    shutil.copytree(fuzz.inside, fuzz.outside / "as it was")


def tidy(fuzz: Fuzz) -> None:
    """All as it was."""
    for path in list(fuzz.inside.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(fuzz.outside / "as it was", fuzz.inside, dirs_exist_ok=True)


@pytest.mark.parametrize("path", [path for path in VERBS if path[0] not in TOO_LONG], ids=" ".join)
@pytest.mark.usefixtures("small_machine")
def test_command_lines(path: tuple[str, ...], fuzz: Fuzz, corpus: Path, add: Any, monkeypatch: pytest.MonkeyPatch):
    def offline(url: str, **options: Any) -> None:
        raise requests.ConnectionError("Max retries exceeded")

    monkeypatch.setattr(requests, "get", offline)
    add(toy(BOGUS))
    prepare(fuzz, corpus)

    def attempt(arguments: list[str]) -> None:
        result = CliRunner().invoke(main, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code in (0, 2)
        assert "Traceback" not in result.output
        errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert bool(errors) == (result.exit_code == 2)
        assert len(errors) < 2 or arguments[:2] == ["data", "verify"]  # a line for each file
        tidy(fuzz)

    share = 1 + len(VERBS[path].params)
    fuzz(attempt, lines(path, VERBS[path]), short=min(12, share), long=50 * share)
