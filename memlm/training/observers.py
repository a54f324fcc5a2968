"""Observers that write to the run's folder: TensorBoard curves, and pictures of attention on them."""

from collections.abc import Mapping
from typing import Any

from memlm.config.run import Config, QAConfig
from memlm.evaluation import attention
from memlm.evaluation.plots.pictures import pixels
from memlm.runs.folder import RunFolder
from memlm.runs.tensorboard import EventWriter, write_result
from memlm.training.interfaces import Observer
from memlm.training.learner import Learner
from memlm.training.progress import Totals
from memlm.training.text import TextLearner

RESULTS = ("mean_error", "perplexity", "word_perplexity", "bits_per_character")  # how the names of results end


class TensorBoard(Observer):
    """TensorBoard: points by step and by epoch, and at the end the hyperparameters with the results."""

    def __init__(self, config: Config | QAConfig) -> None:
        self.config = config
        self.writer: EventWriter | None = None

    def began(self, learner: Learner, run: RunFolder) -> None:
        """Open a new file. It replaces the earlier ones up to the step at which the run resumes."""
        self.run = run
        self.writer = EventWriter(run.path, step=learner.logged_step, epoch=learner.epoch)

    def point(self, learner: Learner, recent: Totals, figures: Mapping[str, float]) -> None:
        """Add a point by step."""
        assert self.writer is not None
        self.writer.add_scalars("step", figures, learner.steps)

    def epoch(self, learner: Learner, metrics: dict[str, Any], best: bool) -> None:
        """Add a point by epoch."""
        assert self.writer is not None
        self.writer.add_scalars("epoch", learner.points(metrics), learner.epoch)

    def concluded(self, learner: Learner, summary: dict[str, Any]) -> None:
        """Write the results, in place of earlier ones, before summary.json ends the run."""
        write_result(self.run.path, self.config, results_of(summary), learner.steps)

    def ended(self, learner: Learner, summary: dict[str, Any] | None) -> None:
        """Write what is left. Raises MemlmError if it can't be written."""
        assert self.writer is not None
        self.writer.close()


class AttentionPictures(Observer):
    """One picture per epoch in TensorBoard: what each hop of a memory network attends to."""

    def __init__(self, board: TensorBoard) -> None:
        self.board = board

    def epoch(self, learner: Learner, metrics: dict[str, Any], best: bool) -> None:
        """Draw the average attention over the validation split."""
        assert self.board.writer is not None
        if isinstance(learner, TextLearner):
            figure = attention.picture(learner.extract(), learner.valid, learner.epoch)
            if figure is not None:
                self.board.writer.add_image("epoch/attention", pixels(figure), learner.epoch)


def results_of(summary: Mapping[str, Any]) -> dict[str, float]:
    """The final figures of a summary, by name."""
    names = [name for name in summary if name.startswith(("valid_", "test_", "mean_")) and name.endswith(RESULTS)]
    of_tasks = {f"test_error_task_{task}": error for task, error in summary.get("tasks", {}).items()}
    return of_tasks | {name: summary[name] for name in names}
