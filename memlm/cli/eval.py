"""`memlm eval`."""

import json
from pathlib import Path

import click


@click.command("eval")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--split", default="test", show_default=True, help="train, valid or test")
@click.option(
    "--protocol",
    type=click.Choice(["exact", "facebook"]),
    default="exact",
    show_default=True,
    help="exact: every token once; facebook: the tokens that the reference code scores",
)
@click.option(
    "--checkpoint", type=click.Choice(["best", "last"]), default="best", show_default=True, help="which state"
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="where")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def command(run: Path, split: str, protocol: str, checkpoint: str, device: str, as_json: bool) -> None:
    """Perplexity of a trained model on a split of the dataset it was trained on.

    Total nats over total tokens; the score is kept with the run for `memlm compare`.
    """
    from memlm import report, trained

    model = trained.load(run, checkpoint=checkpoint, device=device)
    result = model.evaluate(split, protocol=protocol)
    report.record(model.run, result)
    if as_json:
        click.echo(json.dumps(result))
        return
    floor = f", floor {result['floor_perplexity']:.2f}" if "floor_perplexity" in result else ""
    click.echo(
        f"{result['label']} on {result['dataset']} {split}: perplexity {result['perplexity']:.2f}{floor} "
        f"({result['tokens']:,} tokens, {result['oov']:,} unknown words, protocol {protocol}, checkpoint {checkpoint})"
    )
