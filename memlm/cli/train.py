"""`memlm train`."""

from pathlib import Path
from typing import Any

import click

from memlm.cli.options import recipe_names, resolve, settings_options
from memlm.config.recipes import DEFAULT_RECIPE
from memlm.config.training import QATrainConfig, TrainConfig
from memlm.errors import MemlmError
from memlm.experiments import signals

SAFE_ON_RESUME, QA_SAFE_ON_RESUME = (
    ", ".join("--" + name.replace("_", "-") for name in kind.safe_names()) for kind in (TrainConfig, QATrainConfig)
)


@click.command("train")
@click.option(
    "--dataset",
    help="a name of `memlm data list`, a folder with train, valid and test.txt, or a file to be split  [default: ptb]",
)
@click.option(
    "--model", type=click.Choice(list(DEFAULT_RECIPE)), help="memory network or baseline  [default: memn2n, memn2n-qa]"
)
@click.option(
    "--recipe", "recipe_name", type=recipe_names(), metavar="NAME", help="named settings: see `memlm recipes`"
)
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="settings from a TOML file")
@click.option("--run-dir", type=click.Path(path_type=Path), help="folder of the run  [default: a new one in runs/]")
@click.option("--overwrite", is_flag=True, help="delete the run that is in --run-dir")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help=f"continue this same run where it stopped; only {SAFE_ON_RESUME} may be changed, "
    f"for question answering {QA_SAFE_ON_RESUME}",
)
@click.option(
    "--init-from",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="start a new run, on other data, from the weights of this run, with its vocabulary, tokenizer and settings",
)
@settings_options
def command(
    dataset: str | None,
    model: str | None,
    recipe_name: str | None,
    config_file: Path | None,
    run_dir: Path | None,
    overwrite: bool,
    resume: Path | None,
    init_from: Path | None,
    **options: Any,
) -> None:
    """Train a model. The defaults are the paper's recipe.

    Settings come from the recipe, then from the config file, then from the options.

    Ctrl-C stops after the step and saves; `kill -USR1` saves at once. `--resume RUN` continues the same run exactly
    where it stopped, after a crash from its last checkpoint. `--init-from RUN` begins a new run instead: it starts
    from the weights of a run and trains them on other data, with the vocabulary and the tokenizer of that run.
    """
    from memlm.experiments import run, terminal
    from memlm.experiments.start import StartingPoint
    from memlm.runs.folder import RunFolder

    if resume is not None:
        of_questions = RunFolder.open(resume).manifest().answers_questions
        safe = QATrainConfig if of_questions else TrainConfig
        given = {key: value for key, value in options.items() if value is not None}
        odd = [key for key in given if key not in safe.safe_names()]
        fixed: dict[str, object] = {
            "dataset": dataset,
            "model": model,
            "recipe": recipe_name,
            "overwrite": overwrite or None,
        }
        fixed["init-from"] = init_from
        odd += [name for name, value in fixed.items() if value is not None]
        odd += [name for name, value in {"config": config_file, "run-dir": run_dir}.items() if value]
        if odd:
            flag = "--" + odd[0].replace("_", "-")
            allowed = QA_SAFE_ON_RESUME if of_questions else SAFE_ON_RESUME
            raise MemlmError(f"{flag} can't be changed on --resume: only {allowed} can")
        opened = run.resume_run(resume, given)
    else:
        point = None if init_from is None else StartingPoint.of(init_from)
        config = resolve(
            recipe_name=recipe_name,
            config_file=config_file,
            dataset=dataset,
            model=model,
            options=options,
            base=None if point is None else point.config,
        )
        opened = run.start(config, run_dir, overwrite=overwrite, init_from=point)
    with signals.SignalRequests() as requests, opened as experiment:
        requests.heed_stops()
        terminal.train(experiment, [], requests)
    if requests.exit_status:
        raise SystemExit(requests.exit_status)
