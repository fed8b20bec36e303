"""Clients that are dropped or that outlive the program: one warning and no other messages."""

from __future__ import annotations

import textwrap

import pytest

from tests.runtime.conftest import Script

DROP = """
from pathlib import Path

warnings.simplefilter("always")
seen = []
warnings.showwarning = lambda message, kind, *_: seen.append((kind, str(message)))


def sockets():
    links = [entry for entry in Path("/proc/self/fd").iterdir()]
    return sum(os.path.exists(link) and "socket:" in os.readlink(link) for link in links)


def check(name, before):
    assert len(seen) == 1, seen
    kind, message = seen[0]
    assert kind is ResourceWarning
    assert message.startswith(f"unclosed {name}(base_url='{URL}')"), message
    assert sockets() == before, (sockets(), before)
    print("done")


async def use():
    client = AsyncClient(base_url=URL)
    before = sockets()
    await client.run("owner/polls-1", {})
    await client.account.get()
    assert sockets() > before
    client.itself = client  # for the garbage collector, rather than for the count of references


def use_sync():
    client = Client(base_url=URL)
    client.run("owner/polls-1", {})
    client.itself = client
"""

DROPPED = {
    "asyncio": """
        async def main():
            before = sockets()
            await use()
            gc.collect()
            await asyncio.sleep(0.2)
            check("AsyncClient", before)

        asyncio.run(main())
    """,
    "asyncio, at the end of the loop": """
        async def main():
            await use()
            gc.collect()

        before = sockets()
        asyncio.run(main())
        check("AsyncClient", before)
    """,
    "asyncio, from another thread": """
        async def main():
            before = sockets()
            await use()
            thread = threading.Thread(target=gc.collect)
            thread.start()
            thread.join()
            await asyncio.sleep(0.2)
            check("AsyncClient", before)

        gc.disable()
        asyncio.run(main())
    """,
    "uvloop": """
        import uvloop

        async def main():
            before = sockets()
            await use()
            gc.collect()
            await asyncio.sleep(0.2)
            check("AsyncClient", before)

        uvloop.run(main())
    """,
    "trio": """
        import trio

        async def main():
            before = sockets()
            await use()
            gc.collect()
            await trio.sleep(0.2)
            check("AsyncClient", before)

        trio.run(main)
    """,
    "trio, at the end of the loop": """
        import trio

        async def main():
            await use()
            gc.collect()

        before = sockets()
        trio.run(main)
        check("AsyncClient", before)
    """,
    "sync": """
        before = sockets()
        use_sync()
        gc.collect()
        check("Client", before)
    """,
}


def test_a_dropped_client_is_closed_with_one_warning(script: Script) -> None:
    sources = [f"seen.clear()\n{textwrap.dedent(source)}" for source in DROPPED.values()]
    done = script(DROP + "".join(sources))
    assert (done.code, done.stdout, done.stderr) == (0, "done\n" * len(DROPPED), "")


CLOSED = {
    "a closed client": """
        with Client(base_url=URL) as client:
            client.run("owner/polls-1", {})
        del client
        gc.collect()
    """,
    "an async client whose loop has ended": """
        client = AsyncClient(base_url=URL)
        asyncio.run(client.run("owner/polls-1", {}))
        del client
        gc.collect()
    """,
    "clients that were never used": """
        Client(base_url=URL)
        AsyncClient(base_url=URL)
        gc.collect()
    """,
    "abandoned iterations on trio": """
        import trio
        from contextlib import aclosing

        class Lists:
            async def list(self, cursor=None):
                from dashscope import Page
                return Page(results=(1, 2, 3), next="more")

        async def main():
            async with AsyncClient(base_url=URL) as client:
                async with aclosing(client.paginate(Lists().list)) as pages:
                    async for page in pages:
                        break
                async with aclosing(client.iterate(Lists().list)) as items:
                    async for item in items:
                        break
                gc.collect()
                await trio.sleep(0.05)

        trio.run(main)
    """,
}
OPEN = {
    "open clients, and the program ends": """
        client = Client(base_url=URL)
        client.run("owner/polls-1", {})
        other = AsyncClient(base_url=URL)
        asyncio.run(other.run("owner/polls-1", {}))
    """,
    "open clients in a cycle, and the program ends": """
        cyclic = Client(base_url=URL)
        cyclic.run("owner/polls-1", {})
        cyclic.itself = cyclic
        with cyclic.stream("owner/short", {}) as stream:
            list(stream)
    """,
    "an open client in a running thread": """
        busy = Client(base_url=URL)

        def work():
            while True:
                busy.run("owner/polls-1", {}, poll_interval=0.01)
                working.set()

        working = threading.Event()
        threading.Thread(target=work, daemon=True).start()
        working.wait()
    """,
}


@pytest.mark.parametrize("sources", [CLOSED, OPEN], ids=["closed", "open at the end"])
def test_no_warning(script: Script, sources: dict[str, str]) -> None:
    source = "".join(map(textwrap.dedent, sources.values()))
    done = script(source + "\nprint('done')\n")
    assert (done.code, done.stdout, done.stderr) == (0, "done\n", "")


def test_using_a_closed_client_is_an_error(script: Script) -> None:
    done = script(
        """
        async def main():
            client = AsyncClient(base_url=URL)
            await client.account.get()
            await client.aclose()
            await client.aclose()
            for call in (
                client.account.get(),
                client.run("owner/polls-1", {}),
                client.with_options(timeout=1).account.get(),
                anext(client.paginate(client.predictions.list)),
            ):
                try:
                    await call
                except RuntimeError as error:
                    print(error)

        asyncio.run(main())
        client = Client(base_url=URL)
        client.close()
        for call in (client.account.get, lambda: client.run("owner/polls-1", {})):
            try:
                call()
            except RuntimeError as error:
                print(error)
        """
    )
    assert done.stdout == "this client is closed: make a new one, or close it later\n" * 6
    assert done.stderr == ""
