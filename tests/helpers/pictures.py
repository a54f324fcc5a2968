"""What is written on a picture."""

from pathlib import Path
from xml.etree import ElementTree

from matplotlib.figure import Figure

from memlm.evaluation.plots import pictures

WORDS = ["the", "$", "N", "<eos>", "$"]


def texts(figure: Figure, path: Path) -> list[str]:
    """What is written on the picture, read from its SVG."""
    pictures.save(figure, path)
    root = ElementTree.parse(path).getroot()
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
