"""The command line: a thin module a verb. Heavy imports are inside the commands, so that --help is instant."""

from importlib import import_module

import click

from memlm.errors import MemlmError

COMMANDS = {
    "data": "list, get, inspect and verify datasets",
    "train": "train a model, or go on with a run",
    "eval": "perplexity of a trained model on a split",
    "compare": "runs side by side in a table",
    "recipes": "list the named settings",
    "bench": "speed of this machine, against the per-window formulation",
}


class Refusal(click.ClickException):
    """A MemlmError on its way to the terminal: one line, exit status 2."""

    exit_code = 2


class Commands(click.Group):
    """Imports a command's module only when that command is used, or its help is asked for."""

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

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; what a user can mend ends in one line."""
        try:
            return super().invoke(ctx)
        except MemlmError as error:
            raise Refusal(" ".join(str(error).split())) from None


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
