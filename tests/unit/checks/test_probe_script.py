from __future__ import annotations

import base64
import hashlib
import json
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

import pytest
import trustme

from scaler.gateways.process import run
from scaler.model.facts import HostFacts

SCRIPT = files("scaler.checks").joinpath("probe_script.py").read_text(encoding="utf-8")


def probe(**changes: Any) -> HostFacts:
    asked = {
        "spaces": ["/etc", "/var/lib/kubelet/not/there"],
        "leftovers": [],
        "sysctls": ["kernel.ostype", "net.no.such"],
        "endpoints": [],
        "ca_file": "/no/ca.crt",
        "ca": base64.b64encode(b"").decode(),
        "modules": {},
        "programs": [],
        "units": [],
        **changes,
    }
    return HostFacts.model_validate_json(run([sys.executable, "-", json.dumps(asked)], stdin=SCRIPT).out)


def test_the_probe_tells_facts_that_the_model_accepts() -> None:
    seen = probe()
    assert seen.arch
    assert seen.cgroup in {1, 2}
    assert seen.sysctls["net.no.such"] == "absent"
    assert abs(seen.time - time.time()) < 60


def test_a_path_that_is_not_there_is_measured_where_it_would_be() -> None:
    spaces = {space.path: space for space in probe().spaces}
    assert spaces["/var/lib/kubelet/not/there"].free > 0


def test_leftovers_are_files_and_directories_with_something_in_them(tmp_path: Any) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    asked = [str(tmp_path / name) for name in ("empty", "full", "full/file", "absent")]
    assert probe(leftovers=asked).leftovers == tuple(asked[1:3])


def test_a_ca_is_known_by_the_digest_of_its_very_bytes(tmp_path: Any) -> None:
    placed = tmp_path / "ca.crt"
    placed.write_bytes(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    assert probe(ca_file=str(placed)).ca_digest == hashlib.sha256(placed.read_bytes()).hexdigest()
    assert not probe().ca_digest


def test_a_port_nobody_answers_on_is_told_with_its_reason() -> None:
    (reach,) = probe(endpoints=["127.0.0.1:1"]).reach
    assert reach.endpoint == "127.0.0.1:1"
    assert reach.error


def test_the_clock_is_compared_with_the_middle_of_the_question() -> None:
    seen = probe().model_copy(update={"time": 100.0})
    offset, uncertainty = seen.clock_offset(90.0, 94.0)
    assert (offset, uncertainty) == (8.0, 2.0)


def test_programs_are_told_that_are_there() -> None:
    assert probe(programs=["sh", "no-such-program"]).programs == ("sh",)


class Api(BaseHTTPRequestHandler):
    """An API server that tells everybody its version, or nobody."""

    status, body = 200, b"{}"

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/version" else 404)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.mark.parametrize(
    ("status", "body", "version"),
    [
        (200, b'{"gitVersion": "v1.20.2"}', "1.20.2"),
        (401, b'{"code": 401}', ""),
        (200, b"<html>", ""),
        (200, b"[]", ""),
    ],
)
def test_an_api_server_that_is_reached_tells_its_version(status: int, body: bytes, version: str) -> None:
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1")
    handler = type("Handler", (Api,), {"status": status, "body": body})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"127.0.0.1:{server.server_port}"
        (reach,) = probe(endpoints=[endpoint], ca=base64.b64encode(authority.cert_pem.bytes()).decode()).reach
        server.shutdown()
    assert (reach.endpoint, reach.error, reach.version) == (endpoint, "", version)
