"""``dashscope/thumbnail``: scales an image down."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from dashscope.local import model


@model(
    "dashscope/thumbnail",
    readme="# thumbnail\n\nScales an image to `width` pixels and keeps its proportions.\n",
    collections=("shipped", "images"),
)
def thumbnail(image: Path, width: Annotated[int, Field(ge=1, le=4096)] = 128) -> Path:
    """Creates a smaller PNG version of an image.

    Args:
        image: The image, in any format that Pillow reads.
        width: The width of the result in pixels.
    """
    # Importing Pillow takes longer than starting the server.
    from PIL import Image, ImageOps

    with Image.open(image) as opened:
        upright = ImageOps.exif_transpose(opened)
        if upright.mode not in {"L", "LA", "RGB", "RGBA"}:
            upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
        height = max(1, round(upright.height * width / upright.width))
        upright.thumbnail((width, height), Image.Resampling.LANCZOS)
    target = image.with_name("thumbnail.png")
    upright.save(target)
    return target
