"""Checkpoints that are damaged, deleted, moved or replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashscope import CheckpointError
from tests.batch.checkpoints import change, stored
from tests.batch.reading import REF, outputs, read, read_into, rows
from tests.servers.batch_service import Service

DAMAGE = [
    "outcome = substr(outcome, 1, 20)",
    "outcome = '{}'",
    "outcome = '[]'",
    "outcome = replace(outcome, '\"succeeded\"', '\"processing\"')",
    "outcome = replace(outcome, '\"succeeded\"', '5')",
    "outcome = replace(outcome, '\"p1\"', '\"p2\"')",
    "outcome = replace(outcome, '\"p1\"', '7')",
    "outcome = CAST(x'ff00ff' AS BLOB)",
    "prediction = 7",
    "prediction = ''",
    "intended_at = 'yesterday'",
    "intended_at = '2026-01-01T00:00:00'",
    "intended_at = 5",
    "created_at = 'x'",
    "clock_skew = 1e300",
    "clock_skew = 'x'",
]


async def test_a_damaged_row_raises_a_checkpoint_error(
    client: Any, service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "run.sqlite"
    await read(client.map(REF, rows(3), checkpoint=path, concurrency=1))
    requested = len(service.fake_server.requests)
    content = path.read_bytes()
    for damage in DAMAGE:
        path.write_bytes(content)
        change(path, f"UPDATE row SET {damage} WHERE position = 1")
        seen: list[Any] = []
        with pytest.raises(CheckpointError) as caught:
            await read_into(seen, client.map(REF, rows(3), checkpoint=path, ordered=True))
        message = str(caught.value)
        assert message.startswith(f"{path} is damaged: "), damage
        assert "index 1" in message
        assert "server" not in message
        assert outputs(seen) == [0]
    assert len(service.fake_server.requests) == requested


@pytest.mark.parametrize("how", ["delete", "move", "replace", "delete the log"])
async def test_a_checkpoint_that_disappears_ends_the_batch(
    client: Any, service: Service, tmp_path: Path, how: str
) -> None:
    path, moved = tmp_path / "run.sqlite", tmp_path / "moved.sqlite"
    service.seconds = lambda input: 60.0 if input["value"] % 10 == 9 else 0.0
    seen: list[Any] = []
    with pytest.raises(CheckpointError, match="was deleted, moved or replaced"):
        async with client.map(REF, rows(500), checkpoint=path, concurrency=4) as results:
            async for result in results:
                seen.append(result)
                if len(seen) == 1:
                    if how == "delete the log":
                        path.with_name("run.sqlite-wal").unlink()
                    elif how == "delete":
                        path.unlink()
                    else:
                        path.rename(moved)
                    if how == "replace":
                        path.write_bytes(b"another file")
    assert len(seen) < 30
    assert all(
        prediction.is_finished for prediction in service.created
    )  # nothing keeps running for a later call
    if how == "replace":
        assert path.read_bytes() == b"another file"
    if how == "move":
        # The moved file knows what was canceled, so a call that uses it resumes.
        assert not any(row["cancel_requested"] for row in stored(moved) if row["outcome"])
        service.seconds = lambda _: 0.0
        results = await read(client.map(REF, rows(40), checkpoint=moved, ordered=True))
        assert outputs(results) == list(range(40))
        finished = [
            prediction for prediction in service.created if prediction.status == "succeeded"
        ]
        assert len(finished) == 40
