"""`memlm eval`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memlm import jsontext
from memlm.cli.options import checkpoint_option, device_option
from memlm.cli.show import errors
from memlm.cli.show.progress import progress_bar
from memlm.config.settings import PROTOCOLS
from memlm.errors import MemlmError
from memlm.evaluation.wording import perplexity_in_words

if TYPE_CHECKING:
    from memlm.evaluation.passport import Passport


@click.command("eval")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--split", help="train, valid or test  [default: test]")
@click.option(
    "--text",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="score this file instead, with one sentence per line; the dataset is not needed",
)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="exact",
    show_default=True,
    help="exact: every token once; facebook: the tokens that the reference code scores",
)
@click.option("--cache", is_flag=True, help="add a cache of the words read so far (Grave et al. 2017)")
@click.option(
    "--dynamic", is_flag=True, help="dynamic evaluation: learn from the words read so far (Krause et al. 2018)"
)
@click.option(
    "--mix",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="RUN",
    help="mix with the best checkpoint of another run",
)
@click.option(
    "--tune-again", is_flag=True, help="tune their weights again, even if the run has weights of an earlier evaluation"
)
@checkpoint_option
@device_option
@click.option("--json", "as_json", is_flag=True, help="print one JSON object: the passport of the evaluation")
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
    """Score a trained model on a split of its dataset, or on any text. The score is written to the run folder.

    The score of a language model is its perplexity per token, and also per word if tokens are parts of words. The nats
    of each token are written too. The weights of --cache, --dynamic and --mix are tuned only on the validation split.
    The score of question answering is the percentage of wrong answers by task, beside that of the paper.
    """
    from memlm.data.dataset import one_text
    from memlm.evaluation import records
    from memlm.inference.evaluation import read_split, score
    from memlm.inference.load import load_text
    from memlm.runs.folder import RunFolder

    if RunFolder.open(run).manifest().answers_questions:
        text_options = {"cache": cache, "dynamic": dynamic, "mix": mix, "tune-again": tune_again}
        text_options |= {"checkpoint": checkpoint != "best", "text": text}
        errors.evaluate(run, split or "test", protocol, device, text_options=text_options, as_json=as_json)
        return
    if text is not None and split is not None:
        raise MemlmError(f"--text is not a split of the dataset: leave out --split {split}")
    model = load_text(run, checkpoint=checkpoint, device=device)
    if cache or dynamic or mix:
        report = partial(click.echo, err=True)
        model = model.adapted(cache=cache, dynamic=dynamic, mix=mix, tune_again=tune_again, report=report)
    elif tune_again:
        raise MemlmError("--tune-again is only for weights: give --cache, --dynamic or --mix with it")
    data = read_split(model, split or "test") if text is None else one_text(text, model.vocabulary)
    (what,) = data.splits
    with progress_bar(f"scoring {what}") as tick:
        evaluation = score(model, data, what, protocol, tick=tick)
    click.echo(jsontext.dumps(evaluation.passport.to_dict()) if as_json else _line(evaluation.passport))
    records.record(model.run, evaluation)


def _line(result: "Passport") -> str:
    from memlm.data.dataset import TEXT

    how = f"protocol {result['protocol']}, checkpoint {result['checkpoint']}"
    wrappers = result["wrappers"]
    adapted = "".join(f" + {name}" for name in wrappers if name != "mix")
    adapted += "".join(f" + {other['weight']:.2f} of {other['label']}" for other in wrappers.get("mix", ()))
    text = result["dataset"] if result["split"] == TEXT else f"{result['dataset']} {result['split']}"
    figures, counts = perplexity_in_words(result)
    return f"{result['label']}{adapted} on {text}: {figures} ({counts}, {how})"
