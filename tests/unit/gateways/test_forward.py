from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest

from scaler.errors import ScalerError
from scaler.gateways import forward
from scaler.gateways.process import alive

if TYPE_CHECKING:
    from pathlib import Path

# As kubectl does: it tells the port that it was given, serves it, and goes on until it is ended.
SERVES = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"main-0" + self.path.encode())
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
open(sys.argv[1], "w").write(str(os.getpid()))
print(f"Forwarding from 127.0.0.1:{server.server_address[1]} -> 8080", flush=True)
server.serve_forever()
"""


def fetched(script: str, *argv: str, timeout: float = 20) -> bytes:
    return forward.fetch([sys.executable, "-c", script, *argv], "/name", timeout=timeout, env={})


def test_what_the_pod_answers_comes_back_and_kubectl_is_ended(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    assert fetched(SERVES, str(told)) == b"main-0/name"
    assert not alive(int(told.read_text()))


def test_a_refusal_is_told_in_kubectls_words() -> None:
    with pytest.raises(ScalerError, match="error: unable to forward port: Forbidden"):
        fetched("print('error: unable to forward port: Forbidden')")


def test_a_port_that_nothing_answers_through_is_a_failure() -> None:
    closed = "import time; print('Forwarding from 127.0.0.1:1 -> 8080', flush=True); time.sleep(60)"
    with pytest.raises(ScalerError, match="nothing answers through the forwarded port"):
        fetched(closed)


def test_a_kubectl_that_says_nothing_is_not_waited_for_for_ever() -> None:
    began = time.monotonic()
    with pytest.raises(ScalerError, match="nothing within 1 s"):
        fetched("import time; time.sleep(60)", timeout=1)
    assert time.monotonic() - began < 10
