"""`memlm generate`."""

import secrets
from pathlib import Path
from typing import Any

import click

from memlm import jsontext
from memlm.cli.options import checkpoint_option, device_option, plain_options
from memlm.sampling import Sampling


@click.command("generate")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--prompt", default="", help="the text to go on from; left out: the start of a text")
@plain_options(Sampling)
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="texts to draw")
@click.option(
    "--seed", type=click.IntRange(0, 2**62), help="of the first text; the next ones count on  [default: any]"
)
@checkpoint_option
@device_option
@click.option("--json", "as_json", is_flag=True, help="JSON lines, an object a text")
def command(
    run: Path, prompt: str, samples: int, seed: int | None, checkpoint: str, device: str, as_json: bool, **options: Any
) -> None:
    """Let a model write: each word is shown as it is drawn, and a line end where it ends a line."""
    from memlm import trained
    from memlm.data.vocab import EOS

    sampling = Sampling(**options)
    model = trained.load(run, checkpoint=checkpoint, device=device)
    first = secrets.randbelow(2**32) if seed is None else seed
    for number in range(first, first + samples):
        drawn = model.generate(prompt, sampling, seed=number)
        if as_json:
            words, log_p = zip(*drawn, strict=True)
            text = {"seed": number, "prompt": prompt, "words": words, "log_probability": sum(log_p)}
            click.echo(jsontext.dumps(text))
            continue
        if samples > 1:
            click.echo(f"# sample {number - first + 1}, seed {number}")
        click.echo(prompt, nl=False)
        at_start = not prompt or prompt.endswith("\n")
        for word, _ in drawn:
            click.echo("\n" if word == EOS else word if at_start else f" {word}", nl=False)
            at_start = word == EOS
        click.echo("" if at_start else "\n", nl=False)
