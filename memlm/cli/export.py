"""`memlm export`."""

from pathlib import Path

import click

from memlm.cli.show.progress import progress_bar
from memlm.errors import MemlmError


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--arpa",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="file for the n-grams, in the format of SRILM and KenLM",
)
@click.option("--overwrite", is_flag=True, help="replace FILE if it is there")
def command(run: Path, arpa: Path, overwrite: bool) -> None:
    """Write a model in the format of another toolkit.

    In an ARPA file, `<eos>` is `</s>` at the end of a line and `<s>` at the start of a line.
    """
    from memlm.inference.load import load_text
    from memlm.models.ngram import arpa as format_
    from memlm.models.ngram.kneser_ney import KneserNey

    source = load_text(run)
    model = source.model
    if not isinstance(model, KneserNey):
        raise MemlmError(
            f"{run} is a run of {source.config.model.name}: only kneser-ney has the n-grams of an ARPA file"
        )
    with progress_bar(arpa.name) as tick:
        format_.write(arpa, model, source.vocabulary.words, overwrite=overwrite, tick=tick)
    click.echo(f"{arpa}: {model.parameter_count:,} n-grams, order {model.order}")
