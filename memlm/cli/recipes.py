"""`memlm recipes`."""

import click

from memlm.config import recipes
from memlm.config.recipes import RECIPES, describe


@click.command("recipes")
def command() -> None:
    """List the named settings: where each is from, and the perplexity (valid/test) or error that it should give."""
    click.echo("[P] is Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895\n")
    width = max(map(len, [*RECIPES, *recipes.QA_RECIPES]))
    for name in RECIPES:
        click.echo(f"{name:{width}}  {describe(name)}")
    for name in recipes.QA_RECIPES:
        click.echo(f"{name:{width}}  {recipes.describe_qa(name)}")
