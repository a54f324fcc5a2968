"""Write figures to files, or as pixels."""

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
    """Refuse, before the work, a picture that can't be drawn or put there."""
    if path.suffix not in TYPES:
        raise MemlmError(f"can't draw {path}: a picture's name ends in {', '.join(TYPES)}")
    if not path.parent.is_dir():
        raise MemlmError(f"can't draw {path}: there is no folder {path.parent}")
    if path.exists() and not overwrite:
        raise MemlmError(f"can't draw {path}: it is there already; choose another name, or give --overwrite")


def save(figure: "Figure", path: Path) -> None:
    """Write a picture in the type that its name ends in, whole or not at all; the words of an SVG stay text."""
    import matplotlib

    new = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "memlm"}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # a letter that the font lacks is drawn as a box
            figure.savefig(new, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)
        new.replace(path)
    except OSError as error:
        raise MemlmError(f"can't draw {path}: {error.strerror}") from None
    finally:
        new.unlink(missing_ok=True)


def pixels(figure: "Figure") -> npt.NDArray[np.uint8]:
    """The picture as (height, width, 3), for TensorBoard."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
