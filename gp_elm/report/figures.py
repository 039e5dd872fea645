"""Matplotlib figures as inline SVG that follows the page's colours: vector axes and text, rasterised points."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

# stands in the SVG wherever the page's own text colour shall be
_INK = "#010203"
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.color": _INK,
    "xtick.color": _INK,
    "xtick.labelsize": 9,
    "ytick.color": _INK,
    "ytick.labelsize": 9,
}


def inline_svg(
    draw: Callable[[Axes], object], *, name: str, alt: str, width: float, height: float, dpi: int = 130
) -> str:
    """Draw on fresh axes and return an ``<svg>`` element for an HTML page.

    Parameters
    ----------
    draw : callable
        Takes the axes.
    name : str
        Unique on the page; makes the element's inner ids unique and repeatable.
    alt : str
        What the picture shows, for those who cannot see it.
    width, height : float
        Inches.
    dpi : int
        Resolution of the rasterised points.

    Returns
    -------
    str
    """
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        text = io.StringIO()
        figure.savefig(text, format="svg", dpi=dpi, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    # a hundredth of a point is finer than any screen; only inside tags, numbers in texts stay
    svg = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), svg)
    # ids that nothing refers to would be repeated from one figure of the page to the next
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", svg)
    svg = svg.replace(_INK, "currentColor")
    svg = re.sub(r"font: ([^;\"']*?)(\d[\d.]*px) [^;\"]*", r"font: \1\2 var(--font, sans-serif)", svg)
    svg = re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", lambda m: _smaller(m[1]), svg)
    label = f'role="img" aria-label="{escape(alt)}"'
    return re.sub(
        r"<svg[^>]*viewBox=\"([^\"]*)\"[^>]*>",
        rf'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="\1" {label}>',
        svg,
        count=1,
    )


def _smaller(encoded: str) -> str:
    """The same picture with 255 colours, where that is smaller: points have few colours."""
    raw = base64.b64decode(re.sub(r"\s", "", encoded))
    image = Image.open(io.BytesIO(raw)).convert("RGBA")
    pixels = np.asarray(image)
    if pixels[..., 3].max() == 0:
        return "data:image/png;base64," + base64.b64encode(raw).decode()
    small = io.BytesIO()
    image.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        small, "png", optimize=True
    )
    best = min(raw, small.getvalue(), key=len)
    return "data:image/png;base64," + base64.b64encode(best).decode()
