"""`drive()`: running coroutines without a loop, and closing generators."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import types
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from dashscope._runtime.drive import drive
from dashscope._sync.facade import ClosingIterator


async def response(value: Any) -> Any:
    return value


async def nested(value: Any) -> Any:
    async with aclosing(numbers(3, [])) as items:
        return [await response(item + value) async for item in items]


async def numbers(count: int, closed: list[str]) -> AsyncGenerator[int, None]:
    try:
        for number in range(count):
            yield number
    finally:
        closed.append("closed")


def test_runs_a_coroutine_to_its_end() -> None:
    assert drive(response(7)) == 7
    assert drive(nested(1)) == [1, 2, 3]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_exceptions_propagate(error: BaseException) -> None:
    async def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        drive(fail())
    assert caught.value is error


@types.coroutine
def suspension() -> Any:
    yield "for ever"


class TestSuspending:
    def test_raises_at_once_and_names_the_coroutine(self) -> None:
        async def waits_for_ever() -> None:
            await suspension()

        with pytest.raises(RuntimeError, match=r"waits_for_ever suspended in suspension"):
            drive(waits_for_ever())

    def test_names_the_innermost_awaitable(self) -> None:
        async def outer() -> None:
            await inner()

        async def inner() -> None:
            await asyncio.sleep(0)

        with pytest.raises(RuntimeError, match=r"outer suspended in .*sleep"):
            drive(outer())

    def test_names_awaitables_that_are_not_coroutines(self) -> None:
        class Waiting:
            def __await__(self) -> Any:
                yield

        async def outer() -> None:
            await Waiting()

        with pytest.raises(RuntimeError, match=r"outer suspended in"):
            drive(outer())

    def test_names_the_generator_that_suspended(self) -> None:
        async def inner() -> None:
            await asyncio.sleep(0)

        async def waiting() -> AsyncGenerator[int, None]:
            await inner()
            yield 1

        items = ClosingIterator(waiting())
        with pytest.raises(RuntimeError, match=r"waiting suspended in .*sleep"):
            next(items)

    def test_names_the_generator_that_suspended_while_closing(self) -> None:
        async def waiting() -> AsyncGenerator[int, None]:
            try:
                yield 1
            finally:
                await suspension()

        items = ClosingIterator(waiting())
        assert next(items) == 1
        with pytest.raises(RuntimeError, match=r"waiting suspended in suspension"):
            items.close()

    def test_the_coroutine_is_closed(self) -> None:
        closed: list[str] = []

        async def waits() -> None:
            try:
                await suspension()
            finally:
                closed.append("closed")

        with pytest.raises(RuntimeError, match="suspended"):
            drive(waits())
        assert closed == ["closed"]

    def test_closes_a_coroutine_that_raises_on_close(self) -> None:
        async def stays() -> None:
            try:
                await suspension()
            finally:
                raise ValueError("not now")

        with pytest.raises(RuntimeError, match="stays suspended"):
            drive(stays())


class TestGeneratorHooks:
    @pytest.fixture
    def seen(self) -> Any:
        seen: list[Any] = []
        before = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=seen.append, finalizer=seen.append)
        yield seen
        sys.set_asyncgen_hooks(*before)

    @pytest.mark.parametrize("outcome", ["returns", "raises", "suspends"])
    def test_generator_hooks_are_always_restored(self, seen: list[Any], outcome: str) -> None:
        hooks = sys.get_asyncgen_hooks()

        async def body() -> None:
            assert sys.get_asyncgen_hooks() == (None, None)
            async with aclosing(numbers(1, [])) as items:
                async for _ in items:
                    pass
            if outcome == "raises":
                raise ValueError
            if outcome == "suspends":
                await suspension()

        if outcome == "returns":
            drive(body())
        else:
            with pytest.raises((ValueError, RuntimeError)):
                drive(body())
        assert sys.get_asyncgen_hooks() == hooks
        assert seen == []

    def test_drives_may_be_nested(self, seen: list[Any]) -> None:
        async def outer() -> Any:
            inner = drive(nested(1))
            assert sys.get_asyncgen_hooks() == (None, None)
            return inner

        assert drive(outer()) == [1, 2, 3]
        assert seen == []

    def test_works_inside_a_running_loop(self) -> None:
        async def notebook_cell() -> tuple[Any, list[int]]:
            with ClosingIterator(numbers(3, [])) as items:
                return drive(nested(1)), list(items)

        assert asyncio.run(notebook_cell()) == ([1, 2, 3], [0, 1, 2])

    def test_works_in_many_threads_at_once(self) -> None:
        results: list[Any] = []
        threads = [
            threading.Thread(target=lambda: results.append(drive(nested(1)))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [[1, 2, 3]] * 8


class TestClosingIterator:
    def test_yields_the_items_and_ends(self) -> None:
        closed: list[str] = []
        items = ClosingIterator(numbers(3, closed))
        assert iter(items) is items
        assert list(items) == [0, 1, 2]
        assert closed == ["closed"]
        assert next(items, "end") == "end"

    def test_close_ends_the_generator(self) -> None:
        closed: list[str] = []
        items = ClosingIterator(numbers(3, closed))
        assert next(items) == 0
        items.close()
        assert closed == ["closed"]
        items.close()
        assert list(items) == []
        assert closed == ["closed"]

    @pytest.mark.parametrize("error", [None, ZeroDivisionError])
    def test_exiting_the_block_ends_the_generator(self, error: type[Exception] | None) -> None:
        closed: list[str] = []

        def use() -> None:
            with ClosingIterator(numbers(3, closed)) as items:
                assert next(items) == 0
                if error is not None:
                    raise error

        if error is None:
            use()
        else:
            with pytest.raises(error):
                use()
        assert closed == ["closed"]

    def test_dropping_the_iterator_ends_the_generator(self) -> None:
        closed: list[str] = []
        for number in ClosingIterator(numbers(3, closed)):
            assert number == 0
            break
        gc.collect()
        assert closed == ["closed"]

    def test_an_iterator_that_never_started_can_be_closed(self) -> None:
        closed: list[str] = []
        ClosingIterator(numbers(3, closed)).close()
        assert closed == []

    def test_exceptions_of_the_generator_propagate(self) -> None:
        async def fails() -> AsyncGenerator[int, None]:
            yield 1
            raise ValueError("no more")

        items = ClosingIterator(fails())
        assert next(items) == 1
        with pytest.raises(ValueError, match="no more"):
            next(items)
        assert list(items) == []
