"""`memlm export`."""

from pathlib import Path

import click

from memlm.errors import MemlmError


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--arpa",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="n-grams as SRILM and KenLM read them",
)
@click.option("--overwrite", is_flag=True, help="replace FILE if it is there")
def command(run: Path, arpa: Path, overwrite: bool) -> None:
    """Write a model in another toolkit's format.

    In an ARPA file `<eos>` is `</s>` at the end of a line and `<s>` at its start.
    """
    from rich.console import Console
    from rich.progress import Progress

    from memlm.inference.load import load_text
    from memlm.models.ngram import arpa as format_
    from memlm.models.ngram.kneser_ney import KneserNey

    source = load_text(run)
    model = source.model
    if not isinstance(model, KneserNey):
        raise MemlmError(f"{run} is of {source.config.model.name}: an ARPA file holds n-grams, of kneser-ney alone")
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(arpa.name, total=model.parameter_count)
        format_.write(
            arpa,
            model,
            source.vocabulary.words,
            overwrite=overwrite,
            tick=lambda done, total: bar.update(task, completed=done, total=total),
        )
    click.echo(f"{arpa}: {model.parameter_count:,} n-grams, order {model.order}")
