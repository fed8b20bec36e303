"""README.zh-CN.md has the same sections, code, names and numbers as README.md."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
from attrs import Factory, define, fields
from markdown_it import MarkdownIt
from markdown_it.token import Token

from benchmarks.readme import updated
from tests.variants import variants

ROOT = Path(__file__).parents[2]
LANGUAGES = ("README.md", "README.zh-CN.md")
MARKDOWN = MarkdownIt("commonmark").enable("table")


@define
class Section:
    """A heading and the content of its section without prose."""

    level: str
    title: str
    code: list[tuple[str, str]] = Factory(list)
    table_cells: list[int] = Factory(list)
    list_items: int = 0
    paragraphs: int = 0
    markers: list[str] = Factory(list)
    links: list[str] = Factory(list)
    pictures: list[str] = Factory(list)
    names: set[str] = Factory(set)
    numbers: Counter[str] = Factory(Counter)


PARTS = [part.name for part in fields(Section) if part.name not in ("level", "title")]


def prose(token: Token) -> str:
    """Return the prose of a paragraph, heading or cell, without text in backticks."""
    return " ".join(child.content for child in token.children or [] if child.type == "text")


def sections(name: str) -> list[Section]:
    found: list[Section] = []
    tokens = MARKDOWN.parse((ROOT / name).read_text(encoding="utf-8"))
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open":
            assert following is not None
            found.append(Section(token.tag, following.content))
        section = found[-1]
        match token.type:
            case "fence":
                section.code.append((token.info, token.content))
            case "tr_open":
                section.table_cells.append(0)
            case "th_open" | "td_open":
                section.table_cells[-1] += 1
            case "list_item_open":
                section.list_items += 1
            case "paragraph_open":
                section.paragraphs += 1
            case "html_block":
                section.markers.append(token.content.strip())
            case "inline":
                collect(token.children or [], section)
                section.numbers.update(re.findall(r"\d+(?:\.\d+)*", prose(token)))
    return found


def collect(children: list[Token], section: Section) -> None:
    for child in children:
        if child.type == "link_open":
            section.links.append(str(child.attrs["href"]))
        elif child.type == "image":
            section.pictures.append(str(child.attrs["src"]))
        elif child.type == "code_inline":
            section.names.add(child.content)


ENGLISH, CHINESE = (sections(name) for name in LANGUAGES)
MISSING = Section("no heading", "nothing")
PAIRS = list(zip_longest(ENGLISH, CHINESE, fillvalue=MISSING))


def test_each_language_links_to_the_other_at_the_top() -> None:
    assert ENGLISH[0].links == ["README.zh-CN.md"]
    assert CHINESE[0].links == ["README.md"]


def test_the_headings_are_the_same_in_both_languages() -> None:
    assert [english.level for english, _ in PAIRS] == [chinese.level for _, chinese in PAIRS], [
        (english.title, chinese.title) for english, chinese in PAIRS
    ]


@variants("part", PARTS)
def test_each_section_has_the_same_code_names_and_numbers(part: str) -> None:
    for english, chinese in PAIRS:
        if part == "links" and english is ENGLISH[0]:
            continue  # links to each other
        where = f"{part} of {english.title!r}, {chinese.title!r}"
        assert getattr(english, part) == getattr(chinese, part), where


def sentences(name: str) -> Iterator[str]:
    """Return untranslated text: three English words in a row."""
    for token in MARKDOWN.parse((ROOT / name).read_text(encoding="utf-8")):
        if token.type == "inline" and re.search(r"([A-Za-z]+[ ,]+){2}[A-Za-z]+", prose(token)):
            yield token.content


def test_the_chinese_readme_has_no_english_sentences() -> None:
    english = set(sentences("README.md"))
    assert len(english) > 40
    assert english.isdisjoint(sentences("README.zh-CN.md"))


def test_the_readme_names_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [e for e in project["optional-dependencies"] if f"`{e}`" not in text] == []


def test_the_files_that_the_readme_names_exist() -> None:
    links = [link for section in ENGLISH for link in [*section.links, *section.pictures]]
    names = [name for section in ENGLISH for name in section.names if name.startswith("tests/")]
    files = [name for name in [*links, *names] if "://" not in name]
    assert len(files) > 10
    assert [name for name in files if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_performance_table_matches_the_results(language: str) -> None:
    results = json.loads((ROOT / "benchmarks/results/results.json").read_text(encoding="utf-8"))
    text = (ROOT / language).read_text(encoding="utf-8")
    assert updated(text, results) == text, "run `python -m benchmarks.readme`"


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 2600
    assert len(text.splitlines()) <= 350
