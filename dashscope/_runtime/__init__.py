"""The two ways to wait: `AsyncRuntime` (anyio) and `BlockingRuntime`, both on httpx.

Every place where the client waits goes through one of them: a request, a sleep, a file, a
call that must run to its end. Both have the same `async def` methods; those of
`BlockingRuntime` block the calling thread and never suspend, so that `drive()` can run any
coroutine of ours without an event loop. Nothing of the HTTP library leaves this package.
`BlockingRuntime` is in the module `blocking`, since only `Client` needs it.
"""

from dashscope._runtime.asynchronous import AsyncRuntime
from dashscope._runtime.base import Body, Runtime
from dashscope._runtime.wire import named, timed_out

__all__ = ["AsyncRuntime", "Body", "Runtime", "named", "timed_out"]
