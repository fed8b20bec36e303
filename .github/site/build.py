"""Prepare the sources of the site, and check the built site: `nox -s docs`.

python .github/site/build.py prepare FOLDER
python .github/site/build.py check FOLDER
"""

from __future__ import annotations

import importlib
import inspect
import json
import shutil
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import dashscope
from dashscope import guides
from tests.unit.public_api import modules

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
SITE_URL = URLS["Documentation"]
PARTS = {
    "Start": ("quickstart", "configuration", "from-replicate", "from-javascript"),
    "Use models": ("files", "streaming", "functions", "batches", "scaling-out", "trainings"),
    "Production": (
        *("timeouts", "errors", "web-applications", "webhooks", "tracing"),
        *("troubleshooting", "troubleshooting-batches", "performance"),
    ),
    "Tools": (
        *("testing", "tools", "command-line", "local-server", "deploying-the-server", "notebooks"),
    ),
    "Project": ("how-it-works", "versioning"),
}


def prepare(folder: Path) -> None:
    """Write the sources of the site into a folder."""
    docs = folder / "docs"
    shutil.rmtree(folder, ignore_errors=True)
    (docs / "reference").mkdir(parents=True)
    for topic in guides.titles():
        (docs / f"{topic}.md").write_text(guides.read(topic), "utf-8")
    shutil.copy(HERE / "site.css", docs)
    (docs / "index.md").write_text(index(), "utf-8")
    (docs / "llms.txt").write_text(llms(), "utf-8")
    (docs / "changelog.md").write_text((ROOT / "CHANGELOG.md").read_text("utf-8"), "utf-8")
    nav: list[Any] = [{"Home": "index.md"}]
    nav += [{title: pages(topics)} for title, topics in PARTS.items()]
    left = set(guides.titles()).difference(*PARTS.values())
    assert not left, f"add the guides {left} to PARTS in {__file__}"
    nav.append({"Reference": reference(docs / "reference")})
    nav.append({"Changelog": "changelog.md"})
    config = (HERE / "zensical.toml").read_text("utf-8")
    filled = {
        "nav = []": toml(nav),
        'site_url = ""': toml(SITE_URL),
        'repo_url = ""': toml(URLS["Source"]),
    }
    for line, value in filled.items():
        assert line in config, line
        config = config.replace(line, f"{line.partition(' = ')[0]} = {value}")
    (folder / "zensical.toml").write_text(config, "utf-8")


def pages(topics: tuple[str, ...]) -> list[Any]:
    titles = guides.titles()
    return [{titles[topic]: f"{topic}.md"} for topic in topics if topic in titles]


def toml(value: Any) -> str:
    """Return a list of one-item mappings in TOML. Its strings are those of JSON."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    ((key, item),) = value.items()
    return f"{{ {json.dumps(key)} = {toml(item)} }}"


def index() -> str:
    """Return the first page: the beginning of the README, and the guides."""
    readme = (ROOT / "README.md").read_text("utf-8")
    about = readme.partition("\n\n")[2].partition("\n\n")[2].partition("\n![")[0]
    lines = ["# Dashscope", "", about.strip(), "", "```sh"]
    lines += ["pip install '.[cli,local]'", "dashscope run dashscope/hello-world text=Alice", "```"]
    for title, topics in PARTS.items():
        lines += ["", f"## {title}", ""]
        lines += [
            f"- [{guides.titles()[topic]}]({topic}.md): {guides.summary(topic)}"
            for topic in topics
            if topic in guides.titles()
        ]
    return "\n".join([*lines, "", "The [reference](reference/AsyncClient.md) lists every class."])


def llms() -> str:
    """Return the index for language models: https://llmstxt.org."""
    lines = [
        "# Dashscope",
        "",
        (
            "> Python client of the Dashscope HTTP API: AsyncClient and Client, streams, "
            "batches with checkpoints, a local server and a command line."
        ),
        "",
        "## Guides",
        "",
    ]
    lines += [
        f"- [{title}]({SITE_URL}{topic}.md): {guides.summary(topic)}"
        for topic, title in guides.titles().items()
    ]
    lines += ["", "## Reference", ""]
    lines += [f"- [{name}]({SITE_URL}reference/{name}/)" for name in ("AsyncClient", "Client")]
    return "\n".join([*lines, ""])


def reference(folder: Path) -> list[Any]:
    """Write a page for each class, and for the functions of each module. Return the navigation."""
    groups: dict[str, list[str]] = {
        title: [] for title in ("Clients", "Results", "Operations", "Values", "Errors", "Modules")
    }
    seen: set[Any] = set()
    for path, cls in classes():
        name = path.rpartition(".")[2]
        if cls in seen:
            continue
        seen.add(cls)
        (folder / f"{name}.md").write_text(f"::: {path}\n", "utf-8")
        groups[group(path, cls)].append(name)
    for module in modules():
        names = functions(module)
        if names:
            text = "\n\n".join(
                f"::: {name}\n    options:\n      heading_level: 2" for name in names
            )
            (folder / f"{module}.md").write_text(f"# {module}\n\n{text}\n", "utf-8")
            groups["Modules"].append(module)
    return [
        {title: [{name: f"reference/{name}.md"} for name in sorted(names, key=str.lower)]}
        for title, names in groups.items()
    ]


def classes() -> Iterator[tuple[str, Any]]:
    """Yield the public classes with the shortest path that users import them from."""
    for module in sorted(modules(), key=len):
        for name, value in members(module):
            if inspect.isclass(value):
                yield f"{module}.{name}", value


def functions(module: str) -> list[str]:
    return [f"{module}.{name}" for name, value in members(module) if inspect.isfunction(value)]


def members(module: str) -> list[tuple[str, Any]]:
    loaded = importlib.import_module(module)
    own = [
        name
        for name, value in vars(loaded).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module
    ]
    names = getattr(loaded, "__all__", None) or own
    return [(name, getattr(loaded, name)) for name in names]


def group(path: str, cls: Any) -> str:
    if path in ("dashscope.AsyncClient", "dashscope.Client"):
        return "Clients"
    if issubclass(cls, Exception):
        return "Errors"
    if path.startswith("dashscope.resources"):
        return "Operations"
    in_types = {name for name, _ in members("dashscope.types")}
    if cls.__name__ in in_types:
        return "Values"
    return "Results" if path.count(".") == 1 else "Modules"


class Links(HTMLParser):
    """The links and the ids of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids.update(value for name in ("id", "name") if (value := found.get(name)))
        link = found.get("href" if tag in ("a", "link") else "src")
        if link is not None:
            self.links.append(link)


def check(site: Path) -> None:
    """Check that every link within the site leads somewhere."""
    parsed = {path: Links(path.read_text("utf-8")) for path in site.rglob("*.html")}
    broken = []
    for page, content in parsed.items():
        if page.name == "404.html":
            continue
        for link in content.links:
            path, fragment = urldefrag(link)
            if urlsplit(path).scheme or path.startswith("//"):
                continue
            target = page if not path else (page.parent / unquote(path.split("?")[0])).resolve()
            target = target / "index.html" if target.is_dir() else target
            known = parsed[target].ids if target in parsed else None
            if not target.exists() or (fragment and known is not None and fragment not in known):
                broken.append(f"{page.relative_to(site)}: {link}")
    if broken:
        sys.exit("These links lead nowhere:\n" + "\n".join(sorted(set(broken))))
    names = [name for name in dashscope.__all__ if inspect.isclass(getattr(dashscope, name))]
    missing = [name for name in names if not (site / "reference" / name / "index.html").exists()]
    assert not missing, missing
    for page in (site / "reference").rglob("index.html"):
        assert 'class="doc ' in page.read_text("utf-8"), f"{page} documents nothing"
    print(f"{len(parsed)} pages, and every link between them leads somewhere")


if __name__ == "__main__":
    {"prepare": prepare, "check": check}[sys.argv[1]](Path(sys.argv[2]).resolve())
