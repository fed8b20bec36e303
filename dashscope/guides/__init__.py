"""The guides: Markdown files about one topic each.

`dashscope docs TOPIC` shows a guide in a terminal, and the local server at `/guides`.

```python
from dashscope import guides

print(list(guides.titles()))
print(guides.read("streaming"))
```
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Final

from dashscope._common.installing import DISTRIBUTION

__all__ = ["read", "titles"]

_FOLDER: Final = Path(__file__).parent
_ORDER: Final = (
    "quickstart",
    "configuration",
    "files",
    "streaming",
    "functions",
    "batches",
    "scaling-out",
    "timeouts",
    "errors",
    "web-applications",
    "webhooks",
    "testing",
    "tracing",
    "tools",
    "command-line",
    "local-server",
    "deploying-the-server",
    "notebooks",
    "trainings",
    "from-replicate",
    "from-javascript",
    "troubleshooting",
    "troubleshooting-batches",
    "performance",
    "how-it-works",
    "versioning",
)
_LINK: Final = re.compile(r"\[([^\]]+)\]\(([\w-]+)\.md(#[\w-]*)?\)")
_REPOSITORY: Final = "](../../"
"""The start of a link to a file that is in the repository but not in the wheel."""


def titles() -> dict[str, str]:
    """Return the topics of all guides with their titles, in reading order.

    Returns:
        The titles by topic.

    Example:
        ```python
        from dashscope import guides

        print(guides.titles()["streaming"])
        ```
    """
    topics = {path.stem for path in _FOLDER.glob("*.md")}
    ordered = [topic for topic in _ORDER if topic in topics]
    return {topic: _title(topic) for topic in [*ordered, *sorted(topics.difference(ordered))]}


def read(topic: str) -> str:
    """Return the Markdown text of a guide.

    Args:
        topic: A topic of `titles()`.

    Returns:
        The text. Its first line is the title.

    Raises:
        ValueError: If there is no such guide.

    Example:
        ```python
        from dashscope import guides

        print(guides.read("streaming").splitlines()[0])
        ```
    """
    if topic not in titles():
        raise ValueError(f"No guide is named {topic!r}. The guides are {', '.join(titles())}.")
    text = (_FOLDER / f"{topic}.md").read_text(encoding="utf-8")
    return _with_addresses(text) if _REPOSITORY in text else text


def summary(topic: str) -> str:
    """Return the first paragraph of a guide as plain text on one line."""
    paragraph = " ".join(read(topic).split("\n\n", 2)[1].split())
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", paragraph).replace("`", "")


def with_links(text: str, link: str) -> str:
    r"""Return Markdown text with its links to other guides replaced.

    Args:
        text: The text of a guide.
        link: The replacement, in which `\1` is the text of the link, `\2` the topic and `\3` the
            fragment.
    """
    return _LINK.sub(link, text)


def _with_addresses(text: str) -> str:
    """Return a text in which links to files of the repository are addresses on the web."""
    try:
        project = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:  # a copied folder
        return text
    urls = dict(url.split(", ", 1) for url in project.get_all("Project-URL", []))
    return text.replace(_REPOSITORY, f"]({urls['Source']}/blob/main/")


def _title(topic: str) -> str:
    with (_FOLDER / f"{topic}.md").open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()
