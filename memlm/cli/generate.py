"""`memlm generate`."""

import secrets
from pathlib import Path
from typing import Any

import click

from memlm import jsontext
from memlm.cli.options import checkpoint_option, device_option, plain_options
from memlm.config.sampling import Sampling


@click.command("generate")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--prompt",
    default="",
    help="text to continue; white space at its end is ignored  [default: the start of a text]",
)
@plain_options(Sampling)
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="number of texts")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**62),
    help="seed of the first text; each next text has the next seed  [default: random]",
)
@checkpoint_option
@device_option
@click.option("--json", "as_json", is_flag=True, help="print JSON lines, one object per text")
def command(
    run: Path, prompt: str, samples: int, seed: int | None, checkpoint: str, device: str, as_json: bool, **options: Any
) -> None:
    """Generate text with a model. Each word is shown as it is drawn; `<eos>` starts a new line."""
    from memlm.inference.generate import DrawnText
    from memlm.inference.load import load_text

    sampling, prompt = Sampling(**options), _without_trailing_blanks(prompt)
    model = load_text(run, checkpoint=checkpoint, device=device)
    first = secrets.randbelow(2**32) if seed is None else seed
    for number in range(first, first + samples):
        drawn = model.generate(prompt, sampling, seed=number)
        if as_json:
            click.echo(jsontext.dumps(DrawnText(seed=number, prompt=prompt, tokens=list(drawn)).to_dict()))
            continue
        if samples > 1:
            click.echo(f"# sample {number - first + 1}, seed {number}")
        click.echo(prompt, nl=False)
        last = prompt or "\n"
        for token in drawn:
            click.echo(token.text, nl=False)
            last = token.text or last
        click.echo("" if last.endswith("\n") else "\n", nl=False)


def _without_trailing_blanks(prompt: str) -> str:
    """The prompt without white space at its end, because each drawn word starts with its own space."""
    before, line_end, last = prompt.rpartition("\n")
    return before + line_end + last.rstrip()
