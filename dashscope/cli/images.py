"""Draws pictures on a terminal: one character, the upper half block, for two pixels."""

from __future__ import annotations

import io
from contextlib import closing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from rich.color import Color
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

from dashscope import APIError, FileError, FileOutput

if TYPE_CHECKING:
    from PIL.Image import Image

WIDEST: Final = 80
"""The maximum width in characters."""
LARGEST: Final = 32 * 1024 * 1024
"""The maximum number of bytes to download for a picture."""
UPPER_HALF: Final = "▀"


def draw(console: Console, file: FileOutput) -> bool:
    """Draw a file if it is a picture and the console has colors.

    Returns:
        Whether it was drawn.
    """
    if console.color_system is None or console.no_color or find_spec("PIL") is None:
        return False
    try:
        UPPER_HALF.encode(console.encoding)
    except UnicodeEncodeError:
        return False
    from PIL import Image, UnidentifiedImageError

    try:
        content = _content(file)
        if content is None:
            return False
        with Image.open(io.BytesIO(content)) as image:
            pixels = _fitted(image, console)
    except (APIError, FileError, UnidentifiedImageError, Image.DecompressionBombError, OSError):
        return False  # its URL is printed anyway
    console.print(_cells(pixels), end="")
    return True


def _content(file: FileOutput) -> bytes | None:
    """Return the content of a picture, or `None` for other and very large files."""
    content = b""
    with closing(file.iter_bytes()) as pieces:
        for piece in pieces:
            content += piece
            if not (file.content_type or "").startswith("image/") or len(content) > LARGEST:
                return None
    return content


def _fitted(image: Image, console: Console) -> Image:
    """Return the picture scaled to the console. A character is one pixel wide and two high."""
    size = (min(console.width, WIDEST), 2 * max(console.height - 2, 1))
    image.draft("RGB", size)
    fitted = image.convert("RGBA")
    fitted.thumbnail(size)
    background = fitted.copy()
    background.paste((0, 0, 0), (0, 0, *fitted.size))
    background.alpha_composite(fitted)
    return background.convert("RGB")


def _cells(image: Image) -> Segments:
    cells: list[Segment] = []
    for top in range(0, image.height, 2):
        for left in range(image.width):
            upper = _color(image, left, top)
            lower = _color(image, left, top + 1) if top + 1 < image.height else None
            cells.append(Segment(UPPER_HALF, Style(color=upper, bgcolor=lower)))
        cells.append(Segment.line())
    return Segments(cells)


def _color(image: Image, left: int, top: int) -> Color:
    pixel = image.getpixel((left, top))
    assert isinstance(pixel, tuple)
    red, green, blue = pixel
    return Color.from_rgb(red, green, blue)
