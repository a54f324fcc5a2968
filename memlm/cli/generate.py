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
    help="the text to go on from, blanks at its end are not read; left out: the start of a text",
)
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
    from memlm.inference.generate import DrawnText
    from memlm.inference.load import load_text

    sampling, prompt = Sampling(**options), _as_read(prompt)
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


def _as_read(prompt: str) -> str:
    """Without the blanks at its end, which are no part of a word: what is drawn brings its own space."""
    before, line_end, last = prompt.rpartition("\n")
    return before + line_end + last.rstrip()
