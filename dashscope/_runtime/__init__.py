"""How the client waits: `AsyncRuntime` suspends (anyio), `SyncRuntime` blocks the thread.

Every wait that is not for a response goes through one of them: a pause, a file, a call that must
run to its end. Both have the same `async def` methods. Those of `SyncRuntime` never suspend, so
that `drive()` can run any of our coroutines without an event loop. They are in modules of their
own, each loaded by the client that needs it: asyncio alone takes a tenth of the time that a
script waits for its first response.
"""
