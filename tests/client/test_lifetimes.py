"""One client works across event loops, threads and processes.

The programs run in development mode and with warnings as errors. A resource that stays open, or
that belongs to another loop, would show on stderr.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from dashscope.local import LocalServer
from tests.cli.process import CHECKED, Program

PRELUDE = """
import asyncio, gc, logging, os, sys, threading
from dashscope import AsyncClient, Client

URL = os.environ["BASE_URL"]
# In development mode asyncio tells of callbacks that took long: on a busy machine, all do.
logging.getLogger("asyncio").addFilter(lambda record: " took " not in record.getMessage())


async def hello(name):
    output = await client.run("dashscope/hello-world", {"text": name})
    assert output == f"hello {name}", output


def hello_sync(name):
    output = sync.run("dashscope/hello-world", {"text": name})
    assert output == f"hello {name}", output


async def crowd(name, size=3):
    await asyncio.gather(*(hello(f"{name}-{number}") for number in range(size)))


def children(count, body):
    pids = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                body(number)
                code = 0
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        pids.append(pid)
    return pids


def reap(pids):
    for pid in pids:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""

BEGIN = "client, sync = AsyncClient(base_url=URL), Client(base_url=URL)\n"
END = """
sync.close()
gc.collect()
"""


PROGRAMS = {
    "several asyncio.run calls in sequence": """
        for number in range(3):
            asyncio.run(crowd(f"loop-{number}"))
    """,
    "asyncio, uvloop and trio in turns": """
        import trio, uvloop

        async def crowd_of_trio():
            async with trio.open_nursery() as nursery:
                for number in range(3):
                    nursery.start_soon(hello, f"trio-{number}")

        for _ in range(2):
            trio.run(crowd_of_trio)
        for _ in range(2):
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(crowd("uvloop"))
        asyncio.run(crowd("asyncio"))
        trio.run(crowd_of_trio)
    """,
    "two loops in two threads at once": """
        barrier = threading.Barrier(2)

        def work(name):
            async def main():
                for number in range(2):
                    barrier.wait()
                    await crowd(f"{name}-{number}")
            asyncio.run(main())
            worked.append(name)

        worked = []
        threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(worked) == ["one", "two"], worked
    """,
    "asyncio and trio in two threads at once": """
        import trio

        def work_asyncio():
            asyncio.run(crowd("asyncio", 8))
            worked.append(1)

        async def several():
            for number in range(5):
                await hello("trio")

        def work_trio():
            trio.run(several)
            worked.append(1)

        worked = []
        threads = [threading.Thread(target=work) for work in (work_asyncio, work_trio)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(worked) == 2
    """,
    "many short loops in many threads": """
        def work(number):
            for turn in range(2):
                asyncio.run(hello(f"{number}-{turn}"))
            worked.append(number)

        worked = []
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(worked) == 4
    """,
    "a client closed with its block, a new one for each loop": """
        async def main():
            async with AsyncClient(base_url=URL) as own:
                assert await own.run("dashscope/hello-world", {"text": "a"}) == "hello a"

        for number in range(3):
            asyncio.run(main())
    """,
    "a loop that an exception ends": """
        async def main():
            await hello("a")
            raise ZeroDivisionError

        for number in range(2):
            try:
                asyncio.run(main())
            except ZeroDivisionError:
                pass
        asyncio.run(hello("b"))
    """,
    "the async client, forked between two loops": """
        asyncio.run(crowd("before"))
        pids = children(2, lambda number: asyncio.run(crowd(f"child-{number}")))
        asyncio.run(crowd("parent"))
        reap(pids)
        asyncio.run(crowd("after"))
    """,
    "the async client, forked inside a running loop": """
        async def main():
            await crowd("before")
            pids = children(2, lambda number: asyncio.run(crowd(f"child-{number}")))
            await crowd("parent")
            reap(pids)
            await crowd("after")

        asyncio.run(main())
    """,
    "the sync client, forked": """
        hello_sync("before")
        def work(number):
            for turn in range(2):
                hello_sync(f"child-{number}-{turn}")
        pids = children(3, work)
        for turn in range(2):
            hello_sync(f"parent-{turn}")
        reap(pids)
        hello_sync("after")
        sync.close()
    """,
    "the sync client, forked while other threads use it": """
        hello_sync("before")

        def work():
            for turn in range(4):
                hello_sync(f"thread-{turn}")
            worked.append(1)

        worked = []
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        pids = []
        for _ in range(3):
            pids += children(1, lambda number: hello_sync("child"))
        for thread in threads:
            thread.join()
        reap(pids)
        assert len(worked) == 4
        sync.close()
    """,
    "one sync client in ten threads": """
        def work(number):
            for turn in range(2):
                hello_sync(f"{number}-{turn}")
            worked.append(number)

        worked = []
        threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(worked) == list(range(10))
        sync.close()
    """,
    "the sync client inside running loops": """
        import trio

        async def main():
            hello_sync("in a coroutine")
            await hello("beside it")
            hello_sync("again")
            for prediction in sync.iterate(sync.predictions.list, max_items=3):
                await hello(prediction.id)

        asyncio.run(main())
        trio.run(main)
        sync.close()
    """,
    "an abandoned iteration": """
        async def main():
            async for page in client.paginate(client.predictions.list):
                break
            async for item in client.iterate(client.predictions.list):
                break
            gc.collect()
            await asyncio.sleep(0.05)
            await hello("after")

        for _ in range(2):
            asyncio.run(main())
        for page in sync.paginate(sync.predictions.list):
            break
        for item in sync.iterate(sync.predictions.list):
            break
        gc.collect()
        sync.close()
    """,
    "an abandoned iteration at the end of the program": """
        async def main():
            async for item in client.iterate(client.predictions.list):
                return item

        asyncio.run(main())
    """,
    "an abandoned iteration on trio that is closed": """
        import contextlib, trio

        async def main():
            async with contextlib.aclosing(client.iterate(client.predictions.list)) as items:
                async for item in items:
                    break
            async with contextlib.aclosing(client.paginate(client.predictions.list)) as pages:
                async for page in pages:
                    break

        trio.run(main)
    """,
    "an abandoned output file": """
        async def main():
            output = await client.run("test/file", {"content": "0123456789", "times": 300_000})
            async for chunk in output.iter_bytes():
                break
            gc.collect()
            await asyncio.sleep(0.05)

        asyncio.run(main())
        output = sync.run("test/file", {"content": "0123456789", "times": 300_000})
        for chunk in output.iter_bytes():
            break
        gc.collect()
        sync.close()
    """,
    "a program that ends in the middle of everything": """
        async def main():
            await crowd("before", 8)
            tasks = [asyncio.create_task(hello(str(number))) for number in range(8)]
            await asyncio.sleep(0.05)

        asyncio.run(main())
        sync.close()
    """,
}


def test_a_client_works_across_loops_threads_and_forks(server: LocalServer, tmp_path: Path) -> None:
    """One process runs all programs, each with new clients."""
    source = PRELUDE
    for name, program in PROGRAMS.items():
        source += BEGIN + textwrap.dedent(program) + END + f"print({name!r}, flush=True)\n"
    path = tmp_path / "program.py"
    path.write_text(source)
    env = {"BASE_URL": server.base_url}
    done = Program(*CHECKED, path, cwd=tmp_path, env=env, forked=True).finish()
    assert (done.stderr, done.stdout.splitlines(), done.code) == ("", list(PROGRAMS), 0)
