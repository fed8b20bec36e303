"""``dashscope/markov``: generates text in the style of the text it was trained on."""

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from dashscope.local import Weights, model

ORDER = 2
SAMPLE = (
    "The server on the desk runs the model and the model writes the text and the text runs on. "
    "A model of words knows which word comes next and writes the next word and the next. "
    "The text on the desk is the text that the model knows, and a model knows only the text it "
    "was trained with. Train the model with a text of your own and it writes the way you do."
)

Chain = dict[str, list[str]]


def learn(text: str) -> Chain:
    """Return the words that follow each pair of words."""
    words = text.split()
    chain: Chain = {}
    for place in range(len(words) - ORDER):
        key = " ".join(words[place : place + ORDER])
        chain.setdefault(key, []).append(words[place + ORDER])
    return chain


def train(text: Path) -> Path:
    """Learns which words follow each pair of words.

    Args:
        text: A text file in UTF-8.
    """
    content = text.read_text("utf-8")
    chain = learn(content)
    if not chain:
        raise ValueError(f"The text must have more than {ORDER} words.")
    sys.stdout.write(f"Learned {len(chain)} word pairs from {len(content)} characters.\n")
    weights = text.with_name("chain.json")
    weights.write_text(json.dumps(chain))
    return weights


@model(
    "dashscope/markov",
    readme=(
        "# markov\n\nContinues `prompt` word by word. Train it on your own `text` file, and the "
        "new version writes in that style.\n"
    ),
    collections=("shipped", "text", "streaming", "trainable"),
    train=train,
)
def markov(
    prompt: str = "",
    length: Annotated[int, Field(ge=1, le=10_000)] = 50,
    delay: Annotated[float, Field(ge=0, le=10)] = 0.0,
    seed: int | None = None,
    weights: Weights = None,
) -> Iterator[str]:
    """Generates text in the style of its training text, one word at a time.

    Args:
        prompt: The words to continue.
        length: The number of words.
        delay: Seconds between words.
        seed: The seed of the random generator. The same seed generates the same text.
        weights: The chain from a training.
    """
    chain: Chain = learn(SAMPLE) if weights is None else json.loads(weights.read_text())
    choose = random.Random(seed)  # noqa: S311
    starts = sorted(chain)
    words = prompt.split()
    for _ in range(length):
        following = chain.get(" ".join(words[-ORDER:]))
        if not following:
            # No word follows these words. Continue at a random place.
            words += choose.choice(starts).split()
            following = chain[" ".join(words[-ORDER:])]
        words.append(choose.choice(following))
        yield f"{words[-1]} "
        time.sleep(delay)
