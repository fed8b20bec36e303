"""The two ways to wait: `AsyncRuntime` (anyio) and `BlockingRuntime`, both on httpx.

Every place where the client waits goes through one of them: a request, a sleep, a file, a
call that must run to its end. Both have the same `async def` methods; those of
`BlockingRuntime` block the calling thread and never suspend, so that `drive()` can run any
coroutine of ours without an event loop. Nothing of the HTTP library leaves this package.
They are in the modules `asynchronous` and `blocking`, each loaded by the client that needs it:
asyncio alone takes a tenth of the time that a script waits for its first answer.
"""

from dashscope._runtime.base import Body, Runtime
from dashscope._runtime.wire import Sending, named, timed_out

__all__ = ["Body", "Runtime", "Sending", "named", "timed_out"]
