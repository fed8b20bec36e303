"""Models with visual output, for the browser tests and the screenshot of the README."""

import math
import random
import struct
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from PIL import Image, ImageDraw
from PIL.Image import Image as Picture
from pydantic import Field

from dashscope.local import model

MODELS = Path(__file__)
WIDTH, HEIGHT = 480, 320
SKIES = {
    "dawn": ((120, 160, 220), (255, 210, 180)),
    "noon": ((60, 130, 220), (190, 225, 250)),
    "dusk": ((62, 48, 120), (250, 150, 100)),
}


@model("studio/landscape")
def landscape(
    prompt: str,
    style: Literal["dawn", "noon", "dusk"] = "dusk",
    count: Annotated[int, Field(ge=1, le=6)] = 3,
    roughness: Annotated[float, Field(ge=0, le=1)] = 0.4,
) -> list[Picture]:
    """Paint imaginary hills.

    Args:
        prompt: What the picture shows.
        style: The time of day.
        count: How many pictures to paint.
        roughness: How rough the hills are.
    """
    chance = random.Random(prompt + style)
    pictures = []
    for number in range(1, count + 1):
        print(f"painting {number} of {count}", flush=True)
        pictures.append(paint(chance, *SKIES[style], roughness))
        time.sleep(0.1)
    return pictures


def paint(
    chance: random.Random, high: tuple[int, ...], low: tuple[int, ...], roughness: float
) -> Picture:
    picture = Image.new("RGB", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(picture)
    for y in range(HEIGHT):
        mixed = [round(a + (b - a) * y / HEIGHT) for a, b in zip(high, low, strict=True)]
        draw.line([(0, y), (WIDTH, y)], fill=tuple(mixed))
    x = chance.randrange(60, WIDTH - 120)
    draw.ellipse([x, 110, x + 56, 166], fill=(255, 236, 190))
    for layer in range(5):
        waves = [
            (chance.random() * 7, (34 - layer * 3) / k ** (2 - roughness)) for k in (1, 2, 3, 4)
        ]
        ridge = [
            (x, 150 + layer * 32 + sum(
                math.sin(x * k / 80 + phase) * height for k, (phase, height) in enumerate(waves, 1)
            ))
            for x in range(0, WIDTH + 4, 4)
        ]  # fmt: skip
        shade = tuple(round(value * (0.9 - layer * 0.15)) for value in high)
        draw.polygon([*ridge, (WIDTH, HEIGHT), (0, HEIGHT)], fill=shade)
    return picture


@model("studio/tone")
def tone(hertz: Annotated[int, Field(ge=20, le=4000)] = 440) -> Path:
    """Plays a tone for a second."""
    path = Path(tempfile.mkdtemp()) / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        for sample in range(8000):
            file.writeframes(
                struct.pack("<h", int(9000 * math.sin(2 * math.pi * hertz * sample / 8000)))
            )
    return path


@model("studio/writer", examples=({"input": {"topic": "Rain"}, "output": ["# Rain\n\n", "*wet*"]},))
def writer(
    topic: str,
    words: list[str] | None = None,
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7,
    seed: int | None = None,
    delay: float = 0.01,
) -> Iterator[str]:
    """Writes Markdown about a topic."""
    print(f"seed {seed}", flush=True)
    for part in (f"# {topic}\n\n", "Some **bold** text.\n\n", *(f"- {w}\n" for w in words or [])):
        yield part
        time.sleep(delay)


@model("studio/gray")
def gray(image: Path, mask: Path | None = None) -> Path:
    """Removes the colors of an image."""
    target = image.with_name("gray.png")
    Image.open(image).convert("L").save(target)
    return target
