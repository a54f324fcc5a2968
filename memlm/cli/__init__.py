"""The command line: one thin module per verb. Heavy imports are inside the commands, so that --help is fast."""

import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from memlm.errors import MemlmError

COMMANDS = {
    "data": "list, download, import, describe and verify datasets",
    "train": "train a model, resume a run, or fine-tune",
    "eval": "evaluate a model: perplexity, or errors by task",
    "ask": "ask a question about a story, and show what each hop attends to",
    "score": "score each word of a text: log-probability and rank",
    "generate": "generate text from a model",
    "compare": "compare runs, and say whether they differ",
    "reproduce": "measure a table of the paper again",
    "attend": "show which past words each hop of a memory network attends to",
    "export": "write a model in the format of other toolkits",
    "recipes": "list the named settings",
    "bench": "measure the speed of memlm on this machine",
    "doctor": "check the installation, the data, the runs and exact resume",
}


class Commands(click.Group):
    """Imports the module of a command only when it is used. An error that a user can fix is one line, status 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"memlm.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs with a line of help each, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the command line. It exits with 2 for an error that a user can fix, and with 130 for Ctrl-C."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # for names and letters that can't be printed
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
    """End-to-end memory networks for language modelling and question answering, with LSTM and n-gram baselines.

    \b
    memlm train --dataset ptb --hops 6        train on Penn Treebank
    memlm eval runs/ptb-memn2n-6x100          perplexity of the test split
    memlm compare runs/A runs/B               compare two runs
    tensorboard --logdir runs                 watch the training curves
    """
