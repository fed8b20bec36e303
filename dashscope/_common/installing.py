"""How to install the libraries of an extra, for error messages."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

DISTRIBUTION = "dashscope-client"


def install_command(*extras: str) -> str:
    """Return a command that installs extras.

    The package is not on PyPI. The command names the folder or the wheel that the package was
    installed from. If that is unknown or gone, it names the libraries of the extras.

    Args:
        extras: The names of the extras.

    Returns:
        A command for a shell, such as `pip install '/home/me/dashscope[cli]'`.
    """
    try:
        ours = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return f"pip install '.[{','.join(extras)}]' (in a clone of the repository)"
    source = _source(ours.read_text("direct_url.json"))
    if source is not None:
        return f"pip install {source[0]}'{source[1]}[{','.join(extras)}]'"
    return "pip install " + " ".join(f"'{library}'" for library in _libraries(ours, extras))


def _source(direct_url: str | None) -> tuple[str, Path] | None:
    """Return the option and the path for pip, if the package was installed from a path."""
    if direct_url is None:
        return None
    found = json.loads(direct_url)
    parts = urlsplit(found["url"])
    path = Path(url2pathname(parts.path))
    if parts.scheme != "file" or not path.exists():
        return None
    return "-e " if found.get("dir_info", {}).get("editable") else "", path


def _libraries(ours: metadata.Distribution, extras: tuple[str, ...]) -> list[str]:
    """Return the requirements of extras, with those of extras that they include."""
    found: dict[str, None] = {}
    for requirement in ours.requires or ():
        library, _, marker = requirement.partition(";")
        condition = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        if condition is None or condition[1] not in extras:
            continue
        if included := re.match(rf"{DISTRIBUTION}\[([\w,-]+)\]", library):
            found.update(dict.fromkeys(_libraries(ours, tuple(included[1].split(",")))))
        else:
            found[library.strip()] = None
    return list(found)
