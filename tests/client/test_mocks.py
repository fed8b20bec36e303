"""`create_autospec()` of a client includes its resources, with their signatures."""

from __future__ import annotations

from unittest.mock import create_autospec

import pytest

from dashscope import AsyncClient, Client


async def test_an_autospec_includes_the_resources() -> None:
    for mock in (create_autospec(AsyncClient, instance=True), create_autospec(AsyncClient)()):
        mock.predictions.get.return_value = "found"
        assert await mock.predictions.get("p1") == "found"
        mock.predictions.get.assert_awaited_once_with("p1")
        mock.models.versions.list.return_value = ["v1"]
        assert await mock.models.versions.list("owner", "name") == ["v1"]
        await mock.webhooks.default.secret.get()
        with pytest.raises(TypeError, match="'prediction'"):
            await mock.predictions.get()
        with pytest.raises(AttributeError):
            mock.predictions.nothing  # noqa: B018
    mock = create_autospec(Client, instance=True)
    mock.models.versions.list.return_value = ["v1"]
    assert mock.models.versions.list("owner", "name") == ["v1"]
    with pytest.raises(TypeError, match="'prediction'"):
        mock.predictions.get()


def test_a_resource_of_the_class_needs_an_instance() -> None:
    with pytest.raises(TypeError, match="create one with"):
        Client.predictions.get("p1")
