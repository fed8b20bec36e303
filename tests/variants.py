"""`@variants` runs the body of a test once for each variant of a rule, as a single test."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from _pytest.mark import ParameterSet

from tests.servers.fake_server import FakeServer
from tests.servers.stream_server import StreamServer

Test = Callable[..., Any]


def variants(
    names: str | Sequence[str],
    values: Iterable[Any],
    *,
    ids: Callable[[Any], object] | Iterable[str] | None = None,
) -> Callable[[Test], Test]:
    """Run a test once for each value, like `pytest.mark.parametrize` but as a single test.

    The variants share the fixtures of the test. A fake server forgets its requests before each
    variant. The error of a variant has a note that names it.

    Args:
        names: The parameter, or the parameters separated by commas.
        values: The values of the parameter, or a tuple for each variant.
        ids: The names of the variants. Defaults to their values.
    """
    keys = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    table, labels = [], []
    for row in values:
        label = None
        if isinstance(row, ParameterSet):
            assert not row.marks, "a variant has no marks of its own"
            label, cells = row.id, row.values
        else:
            cells = (row,) if len(keys) == 1 else row
        table.append(dict(zip(keys, cells, strict=True)))
        labels.append(label)
    labels = [label or default for label, default in zip(labels, _labels(table, ids), strict=True)]

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)
        rest = [value for name, value in signature.parameters.items() if name not in keys]

        def runs(arguments: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
            for label, row in zip(labels, table, strict=True):
                for value in arguments.values():
                    if isinstance(value, FakeServer):
                        value.requests.clear()
                    elif isinstance(value, StreamServer):
                        value.reset()
                yield label, {**arguments, **row}

        if inspect.iscoroutinefunction(test):

            @functools.wraps(test)
            async def run_async(*positional: Any, **arguments: Any) -> None:
                for label, row in runs(arguments):
                    try:
                        await test(*positional, **row)
                    except Exception as error:
                        error.add_note(f"variant: {label}")
                        raise

            wrapper: Any = run_async
        else:

            @functools.wraps(test)
            def run(*positional: Any, **arguments: Any) -> None:
                for label, row in runs(arguments):
                    try:
                        test(*positional, **row)
                    except Exception as error:
                        error.add_note(f"variant: {label}")
                        raise

            wrapper = run
        wrapper.__signature__ = signature.replace(parameters=rest)
        return wrapper  # type: ignore[no-any-return]

    return decorate


def _labels(table: list[dict[str, Any]], ids: Any) -> list[str]:
    if callable(ids):
        return [", ".join(str(ids(value)) for value in row.values()) for row in table]
    if ids is not None:
        return [str(label) for label in ids]
    return [", ".join(f"{name}={value!r}"[:200] for name, value in row.items()) for row in table]
