"""`memlm eval`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memlm import jsontext
from memlm.cli.options import checkpoint_option, device_option
from memlm.cli.show import errors
from memlm.config.settings import PROTOCOLS
from memlm.errors import MemlmError
from memlm.evaluation.wording import in_words

if TYPE_CHECKING:
    from memlm.evaluation.passport import Passport


@click.command("eval")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--split", help="train, valid or test  [default: test]")
@click.option(
    "--text",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="score this text instead, a sentence a line; the dataset is not needed",
)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="exact",
    show_default=True,
    help="exact: every token once; facebook: the tokens that the reference code scores",
)
@click.option("--cache", is_flag=True, help="mix in a cache of the words read so far (Grave et al. 2017)")
@click.option("--dynamic", is_flag=True, help="learn from what was read so far (Krause et al. 2018)")
@click.option(
    "--mix", type=click.Path(path_type=Path), multiple=True, metavar="RUN", help="mix in another run's best state"
)
@click.option(
    "--tune-again", is_flag=True, help="tune these anew, though the run keeps weights of an evaluation before"
)
@checkpoint_option
@device_option
@click.option("--json", "as_json", is_flag=True, help="one JSON object: the figure's passport")
def command(
    run: Path,
    split: str | None,
    text: Path | None,
    protocol: str,
    cache: bool,
    dynamic: bool,
    mix: tuple[Path, ...],
    tune_again: bool,
    checkpoint: str,
    device: str,
    as_json: bool,
) -> None:
    """Score a trained model on a split of the dataset it was trained on, or on any text; the run keeps the score.

    A language model's is its perplexity: total nats over the number of tokens, and over that of words where tokens
    are parts of them; kept with the nats of each. The weights of --cache, --dynamic and --mix are tuned on the
    validation split alone. That of question answering is the percent of wrong answers by task, beside the paper's.
    """
    from rich.console import Console
    from rich.progress import Progress

    from memlm.data.dataset import one_text
    from memlm.evaluation import records
    from memlm.inference.evaluation import read_split, score
    from memlm.inference.load import load_text
    from memlm.runs.folder import RunFolder

    if RunFolder.open(run).manifest().answers_questions:
        of_texts = {"cache": cache, "dynamic": dynamic, "mix": mix, "tune-again": tune_again}
        of_texts |= {"checkpoint": checkpoint != "best", "text": text}
        errors.evaluate(run, split or "test", protocol, device, of_texts=of_texts, as_json=as_json)
        return
    if text is not None and split is not None:
        raise MemlmError(f"--text is a text of its own: leave out --split {split}")
    model = load_text(run, checkpoint=checkpoint, device=device)
    if cache or dynamic or mix:
        report = partial(click.echo, err=True)
        model = model.adapted(cache=cache, dynamic=dynamic, mix=mix, again=tune_again, report=report)
    elif tune_again:
        raise MemlmError("--tune-again tunes their weights anew: give --cache, --dynamic or --mix with it")
    console = Console(stderr=True)
    data = read_split(model, split or "test") if text is None else one_text(text, model.vocabulary)
    (what,) = data.splits
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"scoring {what}", total=None, visible=False)
        evaluation = score(
            model,
            data,
            what,
            protocol,
            tick=lambda done, total: bar.update(task, completed=done, total=total, visible=True),
        )
    click.echo(jsontext.dumps(evaluation.passport.to_dict()) if as_json else _line(evaluation.passport))
    records.record(model.run, evaluation)


def _line(result: "Passport") -> str:
    from memlm.data.dataset import TEXT

    how = f"protocol {result['protocol']}, checkpoint {result['checkpoint']}"
    wrappers = result["wrappers"]
    adapted = "".join(f" + {name}" for name in wrappers if name != "mix")
    adapted += "".join(f" + {other['weight']:.2f} of {other['label']}" for other in wrappers.get("mix", ()))
    text = result["dataset"] if result["split"] == TEXT else f"{result['dataset']} {result['split']}"
    figures, counts = in_words(result)
    return f"{result['label']}{adapted} on {text}: {figures} ({counts}, {how})"
