"""TensorBoard curves and pictures of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from memlm.config import Config
from memlm.pictures import pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULT_SUFFIX = ".result"  # of the event file that holds hyperparameters and final figures


class Curves:
    """Points by step while a run trains, and by epoch."""

    def __init__(self, path: Path, *, from_step: int = 0) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        # What an interrupted run wrote past the step it resumes from is hidden, not doubled.
        self._writer = SummaryWriter(str(path), purge_step=from_step or None)

    def add(self, group: str, values: Mapping[str, float], step: int) -> None:
        """A point on each of the curves `group`/name."""
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def picture(self, name: str, figure: "Figure | None", step: int) -> None:
        """A picture, if there is one; the Images tab shows it by step."""
        if figure is not None:
            self._writer.add_image(name, pixels(figure), step, dataformats="HWC")

    def flush(self) -> None:
        """Write what is pending."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is pending and close the file."""
        self._writer.close()


def write_result(path: Path, config: Config, figures: Mapping[str, float], step: int) -> None:
    """The hyperparameters beside the final figures (the HParams tab), in place of those of an earlier end."""
    from torch.utils.tensorboard.summary import hparams
    from torch.utils.tensorboard.writer import SummaryWriter

    for earlier in path.glob(f"events.*{RESULT_SUFFIX}"):
        earlier.unlink()
    parts = config.resolved().to_dict()
    flat = {"dataset": parts["dataset"]} | parts["model"] | parts.get("train", {})
    final = {f"final/{name}": value for name, value in figures.items()}
    writer = SummaryWriter(str(path), filename_suffix=RESULT_SUFFIX)
    for summary in hparams(flat, final):  # type: ignore[no-untyped-call]
        writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]
    for name, value in final.items():
        writer.add_scalar(name, value, step)
    writer.close()
