"""`memlm recipes`."""

import click

from memlm.config.recipes import recipes


@click.command("recipes")
def command() -> None:
    """List the recipes: source, command, and the expected perplexity (valid/test) or error."""
    click.echo("[P] is Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895\n")
    described = recipes()
    width = max(map(len, described))
    for name, description in described.items():
        click.echo(f"{name:{width}}  {description}")
