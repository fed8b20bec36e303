"""Parsing the progress from any log is correct and fast."""

from __future__ import annotations

from dashscope.types.prediction import Progress

SEEDS = (
    b" 50%|#####     | 5/10 [00:01<00:01]",
    b"\r  1%|| 1/100 [\r 2%|#| 2/100 [",
    b"100%|##| 3/3",
    b"999%|x| 1/2 ",
    b"1%|2%|| 3/4 |",
    b"5%|a|" + b"9" * 5000 + b"/1 ",
    b"1%|" * 200,
    "٣%|a| 1/2 ".encode(),
    b"5%|a|\n1/2 ",
    b"0%|| 0/0 [",
)


def one_input(data: bytes) -> None:
    found = Progress.parse(data.decode("utf-8", "replace"))
    if found is not None:
        assert 0 <= found.percentage <= 1
        assert found.current >= 0
        assert found.total >= 0
