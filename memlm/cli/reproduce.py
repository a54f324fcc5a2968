"""`memlm reproduce`."""

from pathlib import Path
from typing import Any

import click

from memlm import jsontext
from memlm.cli.options import device_option


@click.group("reproduce")
def command() -> None:
    """Measure a table of the paper again, and show it beside the figures of the paper."""


@command.command("table1")
@click.option(
    "--columns",
    default="pe-ls-rn",
    show_default=True,
    help="names of `memlm recipes`, memnn or memnn-wsh, separated by commas; or all",
)
@click.option("--restarts", type=click.IntRange(1), default=10, show_default=True, help="restarts of each model")
@click.option("--size", type=click.Choice(["1k", "10k"]), default="1k", show_default=True, help="questions per task")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="seed of the first restart")
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    help="folder for the runs of the columns  [default: runs/table1-SIZE]",
)
@device_option
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def table1(
    columns: str, restarts: int, size: str, seed: int, run_dir: Path | None, device: str, as_json: bool
) -> None:
    """Measure the test errors of the bAbI tasks, and show each column of the paper beside the measured one.

    Each column is a run in --run-dir. Ctrl-C stops after the current step, and the same command continues; finished
    runs are not repeated. memlm has no models for memnn and memnn-wsh: these columns are quoted from the paper.
    """
    from memlm.cli.show import errors
    from memlm.config.paper import TABLE1
    from memlm.data.questions.tasks import task_names
    from memlm.experiments import reproduce, signals
    from memlm.experiments.terminal import QuestionTerminal

    names = list(TABLE1) if columns == "all" else [name.strip() for name in columns.split(",")]
    asked: dict[str, Any] = {"size": size, "restarts": restarts, "seed": seed}
    configs = {name: reproduce.column_config(name, device=device, **asked) for name in names}
    folder = run_dir or Path("runs") / f"table1-{size}"
    measured: dict[str, dict[str, Any] | None] = dict.fromkeys(configs)
    with signals.SignalRequests() as requests:
        requests.heed_stops()
        for name, config in configs.items():
            if config is None:
                continue
            with QuestionTerminal(config, to_stderr=as_json) as terminal:
                terminal.say(f"column {name}: run {folder / name}")
                summary = reproduce.reproduce(folder / name, config, [terminal], requests)
            if summary is None:
                click.echo("stopped; nothing is lost: the same command continues", err=True)
                raise SystemExit(requests.exit_status)
            measured[name] = summary
    found = reproduce.beside_the_paper(measured, size)
    if as_json:
        click.echo(jsontext.dumps(asked | {"columns": found}, indent=1))
    else:
        errors.show_beside_the_paper(found, task_names("babi"))
