"""`memlm eval`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from memlm import jsontext
from memlm.config import DEVICES, PROTOCOLS

if TYPE_CHECKING:
    from memlm.passport import Passport


@click.command("eval")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--split", default="test", show_default=True, help="train, valid or test")
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="exact",
    show_default=True,
    help="exact: every token once; facebook: the tokens that the reference code scores",
)
@click.option(
    "--checkpoint", type=click.Choice(["best", "last"]), default="best", show_default=True, help="which state"
)
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="where")
@click.option("--json", "as_json", is_flag=True, help="one JSON object: the figure's passport")
def command(run: Path, split: str, protocol: str, checkpoint: str, device: str, as_json: bool) -> None:
    """Perplexity of a trained model on a split of the dataset it was trained on.

    Total nats over total tokens; the score is kept with the run for `memlm compare`, with the nats of each token.
    """
    from memlm import evaluations, trained

    model = trained.load(run, checkpoint=checkpoint, device=device)
    evaluation = model.score(model.data(split), split, protocol)
    click.echo(jsontext.dumps(evaluation.passport) if as_json else _line(evaluation.passport))
    evaluations.record(model.run, evaluation)


def _line(result: "Passport") -> str:
    floor = f", floor {result['floor_perplexity']:.2f}" if result["floor_perplexity"] is not None else ""
    counts = f"{result['tokens']:,} tokens, {result['oov']:,} unknown words"
    how = f"protocol {result['protocol']}, checkpoint {result['checkpoint']}"
    where = f"{result['label']} on {result['dataset']} {result['split']}"
    return f"{where}: perplexity {result['perplexity']:.2f}{floor} ({counts}, {how})"
