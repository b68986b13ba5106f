"""Figures as the bytes of PNG and PDF files."""

import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

_LARGEST = 300_000  # bytes of a PNG file in all its colours
_DOTS = 150  # per inch
_WHITE = 255
_SMALLER = ((1, 4), (1, 8), (0.75, 8), (0.55, 8), (0.4, 16))  # share of the dots, and step of the colours


def as_png(figure: Figure) -> bytes:
    """The figure as a PNG file; a large one gets fewer colours, then fewer dots: a repository should hold it."""
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None}, dpi=_DOTS)
    content = file.getvalue()
    if len(content) > _LARGEST:
        with Image.open(file) as image:
            drawn = image.convert("RGB")
        for share, step in _SMALLER:
            size = round(drawn.width * share), round(drawn.height * share)
            content = _rounded(drawn if share == 1 else drawn.resize(size, Image.Resampling.LANCZOS), step)
            if len(content) <= _LARGEST:
                break
    return content


def _rounded(image: Image.Image, step: int) -> bytes:
    """A picture as a PNG file, its reds, greens and blues rounded to multiples of `step`; white stays white."""
    pixels = np.asarray(image, dtype=np.uint16)
    rounded = np.where(pixels == _WHITE, _WHITE, ((pixels + step // 2) // step * step).clip(0, _WHITE))
    file = io.BytesIO()
    Image.fromarray(rounded.astype(np.uint8)).save(file, format="png", optimize=True, dpi=(_DOTS, _DOTS))
    return file.getvalue()


def as_pdf(figure: Figure) -> bytes:
    """The figure as a PDF file that names no date."""
    file = io.BytesIO()
    figure.savefig(file, format="pdf", metadata={"Creator": None, "Producer": None, "CreationDate": None}, dpi=200)
    return file.getvalue()
