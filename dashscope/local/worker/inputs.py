"""Converts the input of a job to the arguments of a function, and fetches input files."""

import inspect
import re
import shutil
import types
import urllib.request
from collections.abc import Callable
from email.message import Message
from http import HTTPStatus
from http.client import IncompleteRead
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from dashscope._common.media_types import ending_of
from dashscope.local.decorator import is_weights, unannotated
from dashscope.local.type_guards import is_dict, is_list

FETCH_TIMEOUT: Final = 30.0
FETCH_LIMIT: Final = 100 * 1024 * 1024
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,8}")
_PLAIN: Final = (str, int, float, bool, type(None), Any, list, dict, Path, inspect.Parameter.empty)


class Arguments:
    """Prepares the arguments for one call of a function."""

    def __init__(
        self, function: Callable[..., Any], folder: Path, files: dict[str, list[str]]
    ) -> None:
        self._hints = get_type_hints(function, include_extras=True)
        self._parameters = inspect.signature(function).parameters
        self._folder = folder
        self._files = files
        self._count = 0

    def prepare(self, inputs: dict[str, Any], weights: Path | None) -> dict[str, Any]:
        """Return the keyword arguments for a validated input.

        Raises:
            OSError: A file cannot be fetched.
            ValueError: A file is too large.
        """
        arguments: dict[str, Any] = {}
        for name in self._parameters:
            hint = self._hints.get(name, Any)
            if is_weights(hint):
                arguments[name] = weights
            elif name in inputs:
                value = self._with_files(hint, inputs[name])
                arguments[name] = value if is_plain(hint) else make(hint, value)
        return arguments

    def _with_files(self, hint: Any, value: object) -> Any:
        if value is None:
            return None
        hint = unannotated(hint)
        if hint is Path and isinstance(value, str):
            return self._fetch(value)
        origin, of = get_origin(hint), get_args(hint)
        if origin in {Union, types.UnionType}:
            made = (self._with_files(member, value) for member in of)
            return next((member for member in made if member is not value), value)
        if origin is list and is_list(value):
            return [self._with_files(of[0], item) for item in value]
        if origin is dict and is_dict(value):
            return {key: self._with_files(of[1], item) for key, item in value.items()}
        return value

    def _fetch(self, url: str) -> Path:
        self._count += 1
        target = self._folder / f"input-{self._count}"
        if url in self._files:
            # Copy the file, so that the model can change its copy.
            stored, name = self._files[url]
            target = target.with_suffix(suffix_of(name))
            shutil.copyfile(stored, target)
            return target
        with urllib.request.urlopen(url, timeout=FETCH_TIMEOUT) as response:  # noqa: S310
            target = target.with_suffix(suffix_of_response(url, response))
            try:
                size = copy_body(response, target)
            except IncompleteRead as error:
                raise OSError(f"The file at {url[:200]} is incomplete.") from error
        if size > FETCH_LIMIT:
            raise ValueError(f"The file at {url[:200]} is larger than {FETCH_LIMIT} bytes.")
        return target


def copy_body(response: Any, target: Path) -> int:
    """Write the body of a response to a file, and return its size. Stop above ``FETCH_LIMIT``.

    Raises:
        IncompleteRead: The connection was closed before the end of the body.
    """
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        raise IncompleteRead(b"")
    size = 0
    with target.open("wb") as file:
        while chunk := response.read(256 * 1024):
            size += len(chunk)
            if size > FETCH_LIMIT:
                return size
            file.write(chunk)
    # With a Content-Length, http.client does not report a body that is too short.
    missing: int | None = getattr(response, "length", None)
    if missing:
        raise IncompleteRead(b"", missing)
    return size


def is_plain(hint: Any) -> bool:
    """Return whether a parameter of this type takes plain JSON values."""
    hint = unannotated(hint)
    origin, of = get_origin(hint), get_args(hint)
    if origin is Literal:
        return True
    if origin in {Union, types.UnionType, list, dict}:
        return all(map(is_plain, of))
    return hint in _PLAIN


def make(hint: Any, value: Any) -> Any:
    """Convert a JSON value to a rich type such as a date, an enum or a pydantic model."""
    # pydantic is slow to import, and few models need it here.
    from pydantic import TypeAdapter

    return TypeAdapter(hint).validate_python(value)


def suffix_of_response(url: str, response: Any) -> str:
    """Return the suffix of a file by its name, or else by its media type. It may be empty."""
    headers: Message = response.headers
    if url[:5].lower() != "data:":
        final: str = urlsplit(str(response.url)).path
        for name in (urlsplit(url).path, headers.get_filename() or "", final):
            if suffix := suffix_of(name):
                return suffix
    declared = "content-type" in headers and headers.get_content_type()
    return ending_of(declared) if declared and declared != "application/octet-stream" else ""


def suffix_of(name: str) -> str:
    """Return the suffix of a file name, or an empty string if it is not a plain suffix."""
    suffix = Path(name).suffix if "\0" not in name else ""
    return suffix if _SUFFIX.fullmatch(suffix) else ""
