"""A training session at the terminal: what is said, drawn and kept while a run trains."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from memlm.cli.show.perplexities import SCORED, about_text, results
from memlm.cli.show.training import Display, say_restarts
from memlm.config.data import UNITS
from memlm.config.models import MemN2NConfig
from memlm.config.run import Config
from memlm.data import dataset
from memlm.data.corpus.reading import id_counts
from memlm.errors import MemlmError
from memlm.evaluation import records
from memlm.inference.evaluation import score
from memlm.inference.load import load_text
from memlm.models import device as train_device
from memlm.models.build import build, build_stacked
from memlm.models.device import is_emulated
from memlm.models.layers import cutoffs
from memlm.runs import checkpoint
from memlm.runs.folder import RunFolder, free_folder
from memlm.runs.tensorboard import write_result
from memlm.training import loop
from memlm.training.interfaces import Requests
from memlm.training.restarts import Restarts
from memlm.training.standings import Standings
from memlm.training.text import Training


@dataclasses.dataclass(kw_only=True)
class Session:
    """A run, its data and its model, ready to train."""

    run: RunFolder
    config: Config
    data: dataset.TextDataset
    training: Training | Restarts

    def train(self, requests: Requests) -> None:
        """Train until done or stopped; then score the best state and write the summary."""
        with Display() as display:
            self._introduce(display)
            train_tokens, valid_tokens = (self.data.splits[split].tokens for split in ("train", "valid"))
            why = loop.fit(self.training, train_tokens, valid_tokens, self.run, display, requests)
            progress = self.training.progress
            done = why != "stopped" and conclude(
                self.run,
                self.config,
                self.data,
                display,
                requests,
                best_epoch=progress.best_epoch,
                steps=progress.step,
                why=why,
                device=self.training.device.type,
                standings=progress if isinstance(progress, Standings) else None,
            )
            if not done:
                where = f"at step {progress.step}, {progress.epoch} epochs done"
                display.say(f"stopped {where}; nothing is lost. To go on:")
                display.say(f"    memlm train --resume {self.run.path}")

    def _introduce(self, display: Display) -> None:
        model, label, seeds = self.training.model, self.config.model.label, self.config.train.seeds
        device, precision = self.training.device, self.training.head.precision
        where = f"{device}, output layer in {_name(precision)}"
        if cuts := getattr(self.config.model, "cutoffs", ""):
            where += f", cut at {cuts}"
        display.say(f"{label} on {self.data.name}: {model.parameter_count:,} parameters; {where}; run {self.run.path}")
        if is_emulated(precision, device):
            display.say(
                f"this CPU has no instructions for {_name(precision)}: --precision float32 is many times as fast"
            )
        if len(seeds) > 1:
            display.say(f"{len(seeds)} restarts side by side, of seeds {seeds[0]} to {seeds[-1]}")
        say_text(display, self.config, self.data)
        if self.training.progress.step:
            display.say(f"going on after step {self.training.progress.step}")
        display.begin(len(seeds))


def say_text(display: Display, config: Config, data: dataset.TextDataset) -> None:
    """How a text that is one file was split, and what its tokens are."""
    if config.data.split:
        display.say(dataset.split_rule(config.dataset, config.data))
    for line in about_text(config, data):
        display.say(line)


def conclude(
    run: RunFolder,
    config: Config,
    data: dataset.TextDataset,
    display: Display,
    requests: Requests,
    *,
    best_epoch: int,
    steps: int,
    why: str,
    device: str,
    standings: Standings | None = None,
) -> bool:
    """Score the run's best state, and write the summary of a run that has finished; False if stopped before that."""
    trained = load_text(run.path, device=device)

    def check_stop(done: int, total: int) -> None:
        if requests.stop():
            raise loop.Stopped

    figures: dict[str, float] = {}
    passports = {}
    for split in SCORED:
        try:
            evaluation = score(trained, data, split, tick=check_stop)
        except loop.Stopped:
            return False
        records.record(run, evaluation)
        passports[split] = made = evaluation.passport
        found = {
            "perplexity": made["perplexity"],
            "word_perplexity": made["word_perplexity"],
            "bits_per_character": made["bits_per_character"],
        }
        figures |= {f"{split}_{name}": value for name, value in found.items() if value is not None}
    history = run.metrics()
    summary = {
        "model": config.model.name,
        "label": config.model.label,
        "tokenizer": data.vocabulary.tokenizer,
        "dataset": data.name,
        "parameters": trained.model.parameter_count,
        "protocol": "exact",
        **figures,
        "best_epoch": best_epoch,
        "train_perplexity": history[best_epoch - 1]["train_perplexity"],
        "epochs": len(history),
        "steps": steps,
        "seconds": sum(epoch["seconds"] for epoch in history),
        "finished": why,
        **(standings.summary() if standings else {}),
    }
    write_result(run.path, config, figures, steps)
    run.write_json("summary.json", summary)
    for line in results(best_epoch, passports):
        display.say(line)
    if standings:
        say_restarts(display, standings, unit=UNITS[data.vocabulary.tokenizer])
    return True


@contextmanager
def start(config: Config, run_dir: Path | None, *, overwrite: bool) -> Iterator[Session]:
    """A session of a new run, which no other process trains meanwhile."""
    device = train_device.choose_device(config.train.device)
    config = dataset.settled(config)
    data = dataset.load(config.dataset, config.data)
    loop.check_fits(config, data.splits["train"].tokens)
    config = cutoffs.settled(config, lambda: id_counts(data.splits["train"].tokens, len(data.vocabulary)), device)
    training = _training(config, data, device)
    with created_run(config, data, run_dir, overwrite=overwrite, **_chosen(training)) as run:
        yield Session(run=run, config=config, data=data, training=training)


@contextmanager
def created_run(
    config: Config, data: dataset.TextDataset, path: Path | None, *, overwrite: bool, **facts: str
) -> Iterator[RunFolder]:
    """A run's folder, held; a free one in runs/ if no path is given. `facts` is what settings leave open."""
    path = path or free_folder(f"{Path(config.dataset).name}-{config.model.label}")
    run = RunFolder(path)
    run.check_room(overwrite=overwrite)
    with run.held():
        yield RunFolder.create(path, config, data.vocabulary, overwrite=overwrite, data_sha256=data.sha256, **facts)


@contextmanager
def resume(path: Path, changes: Mapping[str, Any]) -> Iterator[Session]:
    """A session that goes on with a run from its checkpoint `last`, or from its beginning if there is none yet."""
    run = RunFolder.open(path)
    with run.held():
        manifest = run.manifest()
        config = manifest.text_config
        if config.is_counted:
            raise MemlmError(
                f"{path} is of {config.model.name}, which is counted at once: there is nothing to go on with; "
                f"to count anew, give --run-dir {path} --overwrite"
            )
        config = dataclasses.replace(config, train=config.train.replace(changes))
        device = train_device.choose_device(config.train.device)
        data = dataset.load(config.dataset, config.data, vocabulary=manifest.vocabulary)
        manifest.check_text(config.dataset, data.sha256)
        training = _training(config, data, device)
        if checkpoint.exists(run.last):
            training.load(run)
        if (why := training.finished) and run.read_json("summary.json"):
            raise MemlmError(f"{path} has finished ({why}): give more --epochs or --max-steps, or `memlm eval {path}`")
        run.note_resume(**_chosen(training))
        run.write_config(config)
        yield Session(run=run, config=config, data=data, training=training)


def _training(config: Config, data: dataset.TextDataset, device: torch.device) -> Training | Restarts:
    vocabulary = data.vocabulary
    if config.train.restarts > 1:
        assert isinstance(config.model, MemN2NConfig)  # the settings refuse others
        sizes = {"vocabulary_size": len(vocabulary), "eos": vocabulary.eos}
        return Restarts(build_stacked(config.model, **sizes, seeds=config.train.seeds), config.train, device)
    model = build(config.model, vocabulary_size=len(vocabulary), eos=vocabulary.eos, seed=config.train.seed)
    return Training(model, config.train, device)


def _chosen(training: Training | Restarts) -> dict[str, str]:
    """What the settings leave to the machine."""
    return {"device": str(training.device), "precision": _name(training.head.precision)}


def _name(precision: torch.dtype) -> str:
    return str(precision).removeprefix("torch.")
