"""How to wait: `AsyncRuntime` suspends (with anyio), `SyncRuntime` blocks the thread.

Every wait that is not for a response goes through a runtime: sleeping, file I/O, work that must
finish. Both runtimes have the same `async def` methods. Those of `SyncRuntime` never suspend, so
`drive()` can run any of our coroutines without an event loop. Each runtime is in its own module and
loaded only by the client that needs it, because importing asyncio would take a tenth of the time
until a script's first response.
"""
