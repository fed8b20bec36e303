"""Every fake server and proxy of the tests.

A server listens on a loopback address from its creation until `close()`. A test makes it misbehave
in one way: `respond_with()` scripts the responses of a server, `inject()` the faults of a
proxy. Without a script, a server behaves well.

| class | what `respond_with()` takes |
|---|---|
| `fake_server.FakeServer` | a `Reply`, replies in turn, or a function of the request |
| `stream_server.StreamServer` | scripts of the stream's connections, in turn |
| `counting_server.CountingServer` | a function that answers each request; it counts connections |
| `webhook_receiver.Receiver` | statuses and headers, in turn |

| class | what it does |
|---|---|
| `batch_service.Service` | predictions as long as the test says; `override` replaces responses |
| `prediction_server.PredictionServer` | knows what is running; behaves by the model's name |
| `slow_server.SlowServer` | keeps connections busy without progress, by a function of its module |
| `fast_server` | a process for very long batches |
| `asgi_api.API` | a small API as an ASGI application |

`certificates` has the TLS certificates of all servers.

| class | what `inject()` takes |
|---|---|
| `fault_proxy.Proxy` | on a `line()`: faults of `faults.py`, for the next requests in turn |
| `stream_proxy.Proxy` | faults of its module, for the next connections of a stream in turn |
| `http_proxy.Proxy` | nothing: a working proxy for HTTP and SOCKS |
| `broken_proxy.proxy()` | nothing: a proxy that violates its protocol |
"""
