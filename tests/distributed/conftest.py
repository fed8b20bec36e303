"""What all tests of the session share: a database, an S3 server, and a Ray cluster of two nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.distributed.database import Database


@pytest.fixture(scope="session")
def shared_database() -> Iterator[Database]:
    """A server for the whole session."""
    with Database() as database:
        yield database


@pytest.fixture
def database(shared_database: Database) -> Database:
    """An empty database."""
    import psycopg

    with psycopg.connect(shared_database.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return shared_database


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """A local S3 server. Yields the environment of its clients."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment
    server.stop()


@pytest.fixture(scope="session")
def ray_cluster(s3: dict[str, str]) -> Iterator[Any]:
    """A cluster of two nodes on this machine, to which this process is connected."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    # Starting is slow on a busy machine.
    os.environ["RAY_raylet_start_wait_time_s"] = "120"  # noqa: SIM112 (the name that Ray reads)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    node = {"num_cpus": 2, "object_store_memory": 80_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    cluster.add_node(**node)
    ray.init(address=cluster.address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield cluster
    ray.shutdown()
    cluster.shutdown()
