"""For real over loopback: the script runs as on a host, the certificates are scaler's own."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from scaler.errors import ScalerError
from scaler.gateways import https
from scaler.gateways.process import run
from scaler.gateways.ssh import Said
from scaler.model.inventory import Connection, Host
from scaler.pki.certificates import CLIENT, SERVER, Pair, Subject, issue, new_ca

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NOW = datetime.now(UTC)
# Unchecked, since loopback is no address of a cluster's host.
HERE = Host(name="here", connection=Connection.model_construct(address="127.0.0.1", python=sys.executable))
CA, OTHER = new_ca("etcd-ca", NOW), new_ca("another", NOW)


class Here:
    """SSH to this very machine."""

    def run(self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        del host
        return Said(*run(argv, stdin=stdin, timeout=timeout, check=False))


class Answers(BaseHTTPRequestHandler):
    """/readyz is 200, /slow answers never, anything else is 404."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            threading.Event().wait(3)
            return
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def put(directory: Path, name: str, pair: Pair) -> None:
    (directory / f"{name}.crt").write_bytes(pair.certificate)
    (directory / f"{name}.key").write_bytes(pair.key)


def peer(authority: Pair = CA, **more: tuple[str, ...]) -> Pair:
    names = {"dns": ("m1",), "addresses": ("127.0.0.1",), **more}
    return issue(authority, Subject("m1", **names), [SERVER, CLIENT], NOW)  # type: ignore[arg-type]


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    (tmp_path / "ca.crt").write_bytes(CA.certificate)
    put(tmp_path, "peer", peer())
    put(tmp_path, "foreign", peer(OTHER))
    return tmp_path


@pytest.fixture
def port(pki: Path) -> Iterator[int]:
    """Serve HTTPS that asks each client for a certificate but takes one without, and return its port."""
    with served(pki, ssl.CERT_OPTIONAL) as server:
        yield server.server_port


class served:  # noqa: N801 - it is used as a verb
    """A server on loopback for as long as the block lasts."""

    def __init__(self, pki: Path, verify: ssl.VerifyMode) -> None:
        self._server = HTTPServer(("127.0.0.1", 0), Answers)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "ca.crt"))
        tls.load_cert_chain(pki / "peer.crt", pki / "peer.key")
        tls.verify_mode = verify
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> HTTPServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self._server

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def free(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def asked(*asks: https.Ask, seconds: float = 5.0) -> list[https.Answer]:
    return https.ask(Here(), HERE, asks, seconds=seconds)


def to(port: int, path: str = "/readyz", **more: str) -> https.Ask:
    return https.Ask(address="127.0.0.1", port=port, path=path, ca=CA.certificate.decode(), **more)


def test_a_server_of_the_cluster_answers_by_its_address_and_by_its_name(port: int) -> None:
    assert asked(to(port), to(port, name="m1")) == [https.Answer(status=200), https.Answer(status=200)]


def test_a_name_that_the_certificate_does_not_carry_is_the_reason(port: int) -> None:
    (answer,) = asked(to(port, name="api.example.org"))
    assert "api.example.org" in answer.error
    assert answer.status == 0


def test_a_server_of_another_authority_is_not_believed(port: int) -> None:
    (answer,) = asked(https.Ask(address="127.0.0.1", port=port, ca=OTHER.certificate.decode()))
    assert "certificate verify failed" in answer.error


def test_without_an_authority_the_certificate_is_not_looked_at(port: int) -> None:
    assert asked(https.Ask(address="127.0.0.1", port=port)) == [https.Answer(status=200)]


def test_an_answer_that_is_not_well_is_told_by_its_status(port: int) -> None:
    assert asked(to(port, "/healthz")) == [https.Answer(status=404, error="HTTP 404")]


def test_a_port_where_nobody_listens_and_one_where_nobody_answers_are_told_apart(port: int) -> None:
    (closed,) = free(1)
    told = asked(to(closed), to(port, "/slow"), seconds=0.5)
    assert "refused" in told[0].error
    assert "timed out" in told[1].error


def test_a_server_that_wants_a_certificate_takes_the_clusters_and_no_other(pki: Path) -> None:
    with served(pki, ssl.CERT_REQUIRED) as server:
        files = {"ca_file": str(pki / "ca.crt")}
        mine = {"certificate": str(pki / "peer.crt"), "key": str(pki / "peer.key")}
        foreign = {"certificate": str(pki / "foreign.crt"), "key": str(pki / "foreign.key")}
        asks = [
            https.Ask(address="127.0.0.1", port=server.server_port, **files, **own)
            for own in (mine, foreign, dict[str, str]())
        ]
        told = asked(*asks)
    assert told[0] == https.Answer(status=200)
    assert told[1].error
    assert told[2].error


def test_a_certificate_file_that_is_not_there_is_the_reason(port: int, pki: Path) -> None:
    (answer,) = asked(to(port, certificate=str(pki / "no.crt"), key=str(pki / "no.key")))
    assert "No such file" in answer.error


def test_a_python_that_does_not_run_is_told_by_its_host() -> None:
    host = HERE.model_copy(update={"connection": HERE.connection.model_copy(update={"python": "/usr/bin/false"})})
    with pytest.raises(ScalerError, match="here: it could not ask others over HTTPS: no output"):
        https.ask(Here(), host, [to(1)])


PATH = "/version?scaler"


def listening(pki: Path, ports: Sequence[int], *, clients: int = 1, seconds: float = 10) -> list[tuple[str, int]]:
    return https.listen(Here(), HERE, ports, pki=str(pki), path=PATH, clients=clients, seconds=seconds)


def reached(pki: Path, port: int, name: str, path: str = PATH) -> str:
    """Ask until somebody listens there; return the last reason."""
    files = {"ca_file": str(pki / "ca.crt"), "certificate": str(pki / f"{name}.crt"), "key": str(pki / f"{name}.key")}
    end = datetime.now(UTC) + timedelta(seconds=8)
    why = "refused"
    while "refused" in why and datetime.now(UTC) < end:
        why = asked(https.Ask(address="127.0.0.1", port=port, path=path, **files))[0].error
    return why


def test_whoever_listens_in_etcds_place_tells_who_reached_which_port(pki: Path) -> None:
    ports = free(2)
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(listening, pki, ports)
        assert [reached(pki, port, "peer") for port in ports] == ["", ""]
        assert sorted(heard.result()) == sorted(("127.0.0.1", port) for port in ports)


def test_a_member_of_etcd_that_asks_meanwhile_is_answered_and_does_not_count(pki: Path) -> None:
    (port,) = free(1)
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(listening, pki, [port])
        assert reached(pki, port, "peer", "/raft/probing") == ""
        assert reached(pki, port, "peer", "/version") == ""
        assert not heard.done()
        assert reached(pki, port, "peer") == ""
        assert heard.result() == [("127.0.0.1", port)]


def test_a_port_that_another_listener_still_has_is_waited_for(pki: Path) -> None:
    (port,) = free(1)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(listening, pki, [port], seconds=1)
        assert reached(pki, port, "foreign")
        second = pool.submit(listening, pki, [port])
        assert first.result() == []
        assert reached(pki, port, "peer") == ""
        assert second.result() == [("127.0.0.1", port)]


def test_a_client_of_another_authority_does_not_count(pki: Path) -> None:
    (port,) = free(1)
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(listening, pki, [port], seconds=2)
        assert reached(pki, port, "foreign")
        assert heard.result() == []


def test_a_port_that_is_taken_is_told(pki: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ScalerError, match="Address already in use"):
            listening(pki, [taken.getsockname()[1]], seconds=0.1)
