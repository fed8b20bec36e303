"""Any response decodes to its type, or raises an `APIResponseError` with a short quote.

The first byte selects the type, and whether the response is one object, a list or a page.
"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs

from dashscope import (
    Account,
    APIResponseError,
    Collection,
    Deployment,
    File,
    Hardware,
    Headers,
    Model,
    Prediction,
    Response,
    SearchResults,
    Training,
    Version,
    WebhookSecret,
)
from dashscope._api.decoding import structure, structure_list, structure_page

TYPES: tuple[type[Any], ...] = (
    Prediction, Training, Model, Version, File, Deployment, Collection, Hardware, Account,
    SearchResults, WebhookSecret,
)  # fmt: skip
LONGEST = 3000
SEEDS = (
    (
        b'\x00{"id": "p", "status": "starting", "created_at": "2026-01-02T03:04:05Z", "input": {}, '
        b'"metrics": {"predict_time": 1}, "urls": {"get": "x"}, "logs": "1%|#| 1/2 [", "output": 1}'
    ),
    b'\x01{"id": "t", "status": "x", "output": {"version": "v"}}',
    (
        b'\x02{"owner": "a", "name": "b", "latest_version": {"id": "v", "openapi_schema": {}}, '
        b'"default_example": {"id": "p", "status": "s"}, "run_count": 1}'
    ),
    b'\x04{"id": "f", "size": 1, "checksums": {"sha256": "0"}, "metadata": {}}',
    b'\x05{"owner": "a", "name": "b", "current_release": {"number": 1, "configuration": {}}}',
    b'\x06{"slug": "a", "models": [{"owner": "a", "name": "b"}]}',
    b'\x09{"models": [{"model": {"owner": "a", "name": "b"}, "metadata": {"tags": ["a"]}}]}',
    b'\x20{"results": [{"id": "p", "status": "x"}], "next": "https://x/?cursor=1"}',
    b'\x47[{"sku": "cpu"}]',
    b'\x00{"id": ' + b"[" * 500 + b"]" * 500 + b', "status": "x"}',
    b'\x00{"id": "\\ud800", "status": "x", "created_at": "0001-01-01T00:00:60+23:59"}',
    b'\x00{"id": "' + b"x" * 5000 + b'", "status": ' + b"9" * 5000 + b"}",
)


def one_input(data: bytes) -> None:
    choice = data[0] if data else 0
    cls = TYPES[choice % 16 % len(TYPES)]
    response = Response(status=200, headers=Headers({}), content=data[1:])
    try:
        if choice & 0x20:
            made: Any = structure_page(response, cls)
        elif choice & 0x40:
            made = structure_list(response, cls)
        else:
            made = structure(response, cls)
    except APIResponseError as error:
        assert len(str(error)) < LONGEST
        assert len(error.body) <= 200
        return
    assert copy.deepcopy(made) == made
    assert pickle.loads(pickle.dumps(made)) == made
    for value in made if choice & 0x60 else [made]:
        assert type(value) is cls
        hash(value)
        repr(value)
        for field in attrs.fields(cls):
            if field.default is attrs.NOTHING:
                assert isinstance(getattr(value, field.name), str)
        if isinstance(value, Prediction | Training):
            assert value.progress is None or 0 <= value.progress.percentage <= 1
