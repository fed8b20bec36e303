"""The parts of the benchmarks, in order."""

from benchmarks.parts import files, memory, noticing, requests, scale, startup, streams

PARTS = (
    requests.PART,
    startup.PART,
    streams.PART,
    streams.LATENCY,
    files.PART,
    noticing.PART,
    memory.PART,
    scale.PART,
)
