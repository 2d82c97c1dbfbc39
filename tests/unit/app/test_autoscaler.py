from __future__ import annotations

import os
import signal
import socket
import threading
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from scaler.app import autoscaler, autoscaler_certificates
from scaler.app.autoscaler import Endpoint, How
from scaler.engine.journal import STATE_VARIABLE
from scaler.engine.ledger import Book
from scaler.errors import InputError
from scaler.gateways import notify
from scaler.plan import node_groups
from tests.fakes.fleet import FakeChildren, Fleet
from tests.unit import examples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scaler.model.node_groups import World

NO_FILES: dict[str, Path | None] = {"--cert": None, "--key": None, "--client-ca": None}
LOOPBACK = Endpoint("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [("127.0.0.1:8086", "127.0.0.1:8086"), ("[::1]:8086", "[::1]:8086"), ("ca.example:1", "ca.example:1")],
)
def test_an_endpoint_is_an_address_and_a_port(text: str, told: str) -> None:
    assert str(autoscaler.endpoint(text, "--listen")) == told


@pytest.mark.parametrize("text", ["127.0.0.1", "8086", ":8086", "127.0.0.1:http", "127.0.0.1:70000", ""])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--listen"):
        autoscaler.endpoint(text, "--listen")


def test_without_certificates_nobody_is_served() -> None:
    with pytest.raises(InputError, match="--cert, --key, --client-ca missing"):
        autoscaler.certificates(NO_FILES, LOOPBACK, insecure_loopback=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "::", "localhost"])
def test_insecure_is_for_an_address_of_loopback_only(host: str) -> None:
    with pytest.raises(InputError, match="is for loopback"):
        autoscaler.certificates(NO_FILES, Endpoint(host, 8086), insecure_loopback=True)
    assert autoscaler.certificates(NO_FILES, Endpoint("::1", 8086), insecure_loopback=True) is None


def test_certificates_and_insecure_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exclude each other"):
        autoscaler.certificates({**NO_FILES, "--cert": tmp_path}, LOOPBACK, insecure_loopback=True)


def test_a_certificate_that_is_not_there_is_said_before_anything_begins(tmp_path: Path) -> None:
    given = {"--cert": tmp_path / "no.crt", "--key": tmp_path / "no.key", "--client-ca": tmp_path / "no.ca"}
    with pytest.raises(InputError, match=r"no\.crt cannot be read"):
        autoscaler.certificates(dict(given), LOOPBACK, insecure_loopback=False)


def test_a_cluster_without_pools_is_not_served() -> None:
    with pytest.raises(InputError, match="has no pools"):
        autoscaler.serve("prod", examples.cluster(), How(LOOPBACK, None), lambda _: None)


class Looking:
    """Stands in for what looks at a real cluster."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def __call__(self, *_: object) -> Looking:
        return self

    def reopen(self, hosts: Sequence[str]) -> None:
        """Do nothing: no test of this file lets a removal fail."""

    def look(self) -> World:
        self._fleet.now = datetime.now(UTC)
        return self._fleet.look()


def test_the_server_tells_systemd_shows_its_pages_and_ends_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet()
    children = FakeChildren(fleet)
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    monkeypatch.setenv(notify.VARIABLE, str(tmp_path / "notify"))
    monkeypatch.setattr(autoscaler, "Lookout", Looking(fleet))
    monkeypatch.setattr(autoscaler, "ScalerChildren", lambda: children)
    said: list[str] = []
    pages: dict[str, str] = {}

    def outside(door: socket.socket) -> None:
        """Do what the world outside does: wait until it is ready, look at its pages, and end it."""
        assert door.recv(200).startswith(b"READY=1")
        where = next(line.split()[-1] for line in said if line.startswith("metrics at")).removesuffix("/metrics")
        for page in ("/metrics", "/healthz", "/readyz"):
            with urllib.request.urlopen(f"{where}{page}", timeout=5) as told:  # noqa: S310 - where is our own
                pages[page] = told.read().decode()
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(str(tmp_path / "notify"))
        thread = threading.Thread(target=outside, args=(door,))
        thread.start()
        how = How(LOOPBACK, None, metrics=LOOPBACK)
        autoscaler.serve("prod", fleet.look().cluster, how, said.append)
        thread.join()
        assert door.recv(200).startswith(b"STOPPING=1")
    assert said[-1] == "stopped"
    assert signal.getsignal(signal.SIGTERM) is before
    assert pages["/healthz"] == pages["/readyz"] == "ok\n"
    assert 'scaler_autoscaler_group_target{group="web"} 1\n' in pages["/metrics"]
    assert 'scaler_autoscaler_group_standby{group="batch"} 3\n' in pages["/metrics"]


def test_an_address_that_is_taken_is_said_and_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet()
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(autoscaler, "Lookout", Looking(fleet))
    children = FakeChildren(fleet)
    monkeypatch.setattr(autoscaler, "ScalerChildren", lambda: children)
    Book("prod").change(lambda ledger: node_groups.increase(fleet.look(), ledger, "web", 1, fleet.now))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        how = How(Endpoint("127.0.0.1", taken.getsockname()[1]), None)
        with pytest.raises(InputError, match="cannot be listened on"):
            autoscaler.serve("prod", fleet.look().cluster, how, lambda _: None)
    assert children.started == []


def test_certificates_go_on_with_the_ca_that_is_there(tmp_path: Path) -> None:
    first = autoscaler_certificates.make(tmp_path, ["127.0.0.1", "ca.example"], datetime.now(UTC))
    assert [path.name for path in first] == [
        "ca.crt",
        "ca.key",
        "server.crt",
        "server.key",
        "client.crt",
        "client.key",
    ]
    before = (tmp_path / "ca.crt").read_bytes()
    again = autoscaler_certificates.make(tmp_path, ["127.0.0.1"], datetime.now(UTC))
    assert len(again) == 4
    assert (tmp_path / "ca.crt").read_bytes() == before
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.key")} == {0o600}


def test_half_a_ca_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").touch()
    with pytest.raises(InputError, match=r"ca\.key is not"):
        autoscaler_certificates.make(tmp_path, ["127.0.0.1"], datetime.now(UTC))
