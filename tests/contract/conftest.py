"""A real API server for the tests of this folder that ask for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers import kubernetes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.kubernetes import ApiServer


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with kubernetes.running(tmp_path_factory.mktemp("api-server")) as server:
        yield server
