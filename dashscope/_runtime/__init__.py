"""The two ways to wait: `AsyncRuntime` (anyio) and `BlockingRuntime`.

Every place where the client waits goes through one of them: a request, a sleep, a file, a
call that must run to its end. Both have the same `async def` methods; those of
`BlockingRuntime` block the calling thread and never suspend, so that `drive()` can run any
coroutine of ours without an event loop.
They are in the modules `async_runtime` and `sync_runtime`, each loaded by the client that needs it:
asyncio alone takes a tenth of the time that a script waits for its first answer.
"""
