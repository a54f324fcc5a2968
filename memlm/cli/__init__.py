"""The command line: a thin module a verb. Heavy imports are inside the commands, so that --help is instant."""

import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from memlm.errors import MemlmError

COMMANDS = {
    "data": "list, get, inspect and verify datasets",
    "train": "train a model, or go on with a run",
    "eval": "perplexity of a trained model on a split, or its errors by task",
    "ask": "a question about a story, and what each hop looked at",
    "score": "log-probability and rank of each word of a text",
    "generate": "let a model write",
    "compare": "runs side by side, and whether they differ",
    "reproduce": "measure a table of the paper again",
    "attend": "which past words each hop of a memory network looks at",
    "export": "a model in another toolkit's format",
    "recipes": "list the named settings",
    "bench": "speed of this machine, against the per-window formulation",
    "doctor": "check the installation, the data, the runs and exact resume",
}


class Commands(click.Group):
    """Imports a command's module only when it is used; whatever a user can mend ends in one line, status 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order of a user's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"memlm.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs with their one-line helps, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the command line; exits with 2 for what a user can mend, 130 for Ctrl-C."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # a file's name that is no text, or a terminal that lacks a letter
                stream.reconfigure(errors="backslashreplace")
        try:
            status = super().main(*args, standalone_mode=False, **extra)  # type: ignore[call-overload]
        except click.UsageError as error:
            hint = f"; see `{error.ctx.command_path} --help`" if error.ctx else ""
            _refuse(error.format_message().rstrip(".") + hint)
        except click.ClickException as error:
            _refuse(error.format_message())
        except MemlmError as error:
            _refuse(str(error))
        except (click.Abort, KeyboardInterrupt):
            sys.exit(130)
        except BrokenPipeError:
            sys.exit(1)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            _refuse(f"{where}{error.strerror or error}")
        except MemoryError:
            _refuse("there is not enough memory for these settings")
        except RuntimeError as error:
            if "memory" not in str(error):  # PyTorch's allocators have no type of their own
                raise
            _refuse("there is not enough memory for these settings")
        sys.exit(status if isinstance(status, int) else 0)


def _refuse(message: str) -> NoReturn:
    click.echo("Error: " + " ".join(message.split()), err=True)
    sys.exit(2)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="memlm")
def main() -> None:
    """End-to-end memory networks for language modelling, beside an LSTM baseline.

    \b
    memlm train --dataset ptb --hops 6        train on Penn Treebank
    memlm eval runs/ptb-memn2n-6x100          perplexity of its test split
    memlm compare runs/A runs/B               runs side by side
    tensorboard --logdir runs                 watch the curves
    """
