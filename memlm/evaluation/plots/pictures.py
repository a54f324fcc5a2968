"""Saves matplotlib figures as files, or converts them to pixels."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from memlm.errors import MemlmError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


TYPES = (".png", ".svg", ".pdf")


def check_file(path: Path, *, overwrite: bool = False) -> None:
    """Raise MemlmError if a picture cannot be saved as `path`. Call it before the work that the picture needs."""
    if path.suffix not in TYPES:
        raise MemlmError(f"can't draw {path}: the name must end in {', '.join(TYPES)}")
    if not path.parent.is_dir():
        raise MemlmError(f"can't draw {path}: there is no folder {path.parent}")
    if path.exists() and not overwrite:
        raise MemlmError(f"can't draw {path}: it exists already; choose another name, or give --overwrite")


def save(figure: "Figure", path: Path) -> None:
    """Save a figure, whole or not at all. The end of the name decides the type: .png, .svg or .pdf.

    The words in an SVG stay text. Raises MemlmError if the file cannot be written.
    """
    import matplotlib

    new = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "memlm"}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # a missing letter is drawn as a box
            figure.savefig(new, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)
        new.replace(path)
    except OSError as error:
        raise MemlmError(f"can't draw {path}: {error.strerror}") from None
    finally:
        new.unlink(missing_ok=True)


def pixels(figure: "Figure") -> npt.NDArray[np.uint8]:
    """The figure as pixels (height, width, 3), for TensorBoard."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
