"""`memlm train`."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import click

from memlm.cli.options import recipe_names, resolve, settings_options
from memlm.config import MODELS
from memlm.errors import MemlmError

SAFE_ON_RESUME = ("epochs", "max_steps", "device")


@click.command("train")
@click.option(
    "--dataset", help="a name of `memlm data list`, or a folder with train, valid and test.txt  [default: ptb]"
)
@click.option("--model", type=click.Choice(list(MODELS)), help="memory network or baseline  [default: memn2n]")
@click.option(
    "--recipe", "recipe_name", type=recipe_names(), metavar="NAME", help="named settings: see `memlm recipes`"
)
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="settings from a TOML file")
@click.option("--run-dir", type=click.Path(path_type=Path), help="folder of the run  [default: a new one in runs/]")
@click.option("--overwrite", is_flag=True, help="throw away the run that is in --run-dir")
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="go on with a run that was stopped")
@settings_options
def command(
    dataset: str | None,
    model: str | None,
    recipe_name: str | None,
    config_file: Path | None,
    run_dir: Path | None,
    overwrite: bool,
    resume: Path | None,
    **options: Any,
) -> None:
    """Train a model; the defaults are the paper's recipe.

    Settings come from the recipe, then the config file, then the options. Ctrl-C stops after the step and saves;
    `memlm train --resume RUN` goes on from there.
    """
    from memlm.cli import counting, session

    if resume is not None:
        given = {key: value for key, value in options.items() if value is not None}
        odd = [key for key in given if key not in SAFE_ON_RESUME]
        fixed = {"dataset": dataset, "model": model, "recipe": recipe_name, "overwrite": overwrite or None}
        odd += [name for name, value in fixed.items() if value is not None]
        odd += [name for name, value in {"config": config_file, "run-dir": run_dir}.items() if value]
        if odd:
            flag = "--" + odd[0].replace("_", "-")
            raise MemlmError(f"{flag} can't be changed on --resume: only {', '.join(SAFE_ON_RESUME)} can")
        current: session.Session | counting.CountingSession = session.resume(resume, given)
    else:
        config = resolve(
            recipe_name=recipe_name, config_file=config_file, dataset=dataset, model=model, options=options
        )
        begin = counting.start if config.is_counted else session.start
        current = begin(config, run_dir, overwrite=overwrite)
    stop = StopRequest()
    current.train(stop)
    if stop.exit_status:
        raise SystemExit(stop.exit_status)


class StopRequest:
    """Called, says whether SIGINT or SIGTERM came; a second one interrupts at once."""

    def __init__(self) -> None:
        self.exit_status = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._receive)

    def __call__(self) -> bool:
        """Whether to stop."""
        return bool(self.exit_status)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.exit_status:
            raise SystemExit(self.exit_status)
        self.exit_status = 128 + number
        click.echo("stopping after this step; once more to stop at once", err=True)
