from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from scaler.errors import InputError
from scaler.gateways.pages import Page, shown


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as told:
            return told.status, told.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_a_page_is_made_when_it_is_asked_for() -> None:
    count = iter(range(5))
    with shown("127.0.0.1", 0, {"/count": lambda: Page(200, f"{next(count)}\n")}) as port:
        assert [get(port, "/count"), get(port, "/count?x=1")] == [(200, "0\n"), (200, "1\n")]
        assert get(port, "/other") == (404, "not found\n")


def test_a_page_may_say_that_something_is_wrong() -> None:
    with shown("127.0.0.1", 0, {"/readyz": lambda: Page(503, "not yet\n")}) as port:
        assert get(port, "/readyz") == (503, "not yet\n")


def test_a_port_that_is_taken_is_said() -> None:
    with (
        shown("127.0.0.1", 0, {}) as port,
        pytest.raises(InputError, match=f"127.0.0.1:{port} cannot be listened on"),
        shown("127.0.0.1", port, {}),
    ):
        pass
