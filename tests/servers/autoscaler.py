"""``scaler autoscaler serve`` as its user starts it: the command line as a process, with certificates of trustme."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import grpc
import httpx2 as httpx
import trustme

from tests.clients.externalgrpc import Autoscaler
from tests.clients.externalgrpc_generations import Generation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

SECONDS = 60
# Of a call: a busy machine is no reason to fail, and a call that waits for a run that is held would wait for ever.
PATIENCE = 20
CALLS = "scaler_autoscaler_calls_total"
COMMAND = (sys.executable, "-c", "from scaler.cli.main import main; main()")
# A client of a server that is killed and comes again tries again soon, and never by a proxy.
CHANNEL = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


@cache
def authority() -> trustme.CA:
    """The CA of the server and of who may call it."""
    return trustme.CA()


@cache
def stranger() -> trustme.CA:
    """A CA that the server does not know."""
    return trustme.CA()


def credentials(
    issuer: trustme.CA | None = None, *, begins: timedelta = timedelta(days=-1), ends: timedelta = timedelta(days=1)
) -> grpc.ChannelCredentials:
    """Return a client's certificate by ``issuer``, and trust in the server's CA."""
    now = datetime.now(UTC)
    leaf = (issuer or authority()).issue_cert("client", not_before=now + begins, not_after=now + ends)
    return grpc.ssl_channel_credentials(
        authority().cert_pem.bytes(), leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()
    )


def without_certificate() -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(authority().cert_pem.bytes())


# Bound and not listened on, they let a server with SO_REUSEADDR have the port, and refuse a client.
_held: list[socket.socket] = []


def free_port() -> int:
    """Return a port that nobody else on this machine is given while this process lives: not even as a client's own."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", 0))
    _held.append(one)
    return int(one.getsockname()[1])


class Server:
    """The server of one cluster, its files in ``home``."""

    def __init__(self, cluster: str, home: Path, environment: Mapping[str, str]) -> None:
        self.cluster, self.home, self._environment = cluster, home, environment
        self.port, self.looks = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        leaf = authority().issue_cert("127.0.0.1", "localhost")
        leaf.private_key_pem.write_to_path(home / "server.key")
        (home / "server.key").chmod(0o600)
        leaf.cert_chain_pems[0].write_to_path(home / "server.crt")
        authority().cert_pem.write_to_path(home / "ca.crt")

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self._environment}

    @property
    def secured(self) -> list[str]:
        """The options of the certificates."""
        given = {"--cert": "server.crt", "--key": "server.key", "--client-ca": "ca.crt"}
        return [word for option, name in given.items() for word in (option, str(self.home / name))]

    def command(self, *options: str) -> list[str]:
        """Return the command line that serves."""
        return [*COMMAND, "autoscaler", "serve", "--cluster", self.cluster, *options]

    def start(self, how: Sequence[str] | None = None) -> None:
        """Start it, and wait until it says that it is ready."""
        self.spawn(how)
        self.until(self.ready)

    def spawn(self, how: Sequence[str] | None = None) -> None:
        """Start it; ``how`` stands in place of the options of the certificates."""
        listen = ("--listen", f"127.0.0.1:{self.port}", "--metrics-listen", f"127.0.0.1:{self.looks}")
        with (self.home / "log").open("ab") as out:
            self.process = subprocess.Popen(
                self.command(*listen, *(self.secured if how is None else how)),
                cwd=self.home,
                env=self.environment,
                stdout=out,
                stderr=out,
            )

    def ready(self) -> bool:
        return self._says("readyz")

    def alive(self) -> bool:
        return self._says("healthz")

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self.process
        self.process.kill()
        self.process.wait(timeout=SECONDS)

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=SECONDS)

    def log(self) -> str:
        return (self.home / "log").read_text(errors="replace")[-3000:]

    def autoscaler(
        self,
        generation: Generation = Generation.NEW,
        *,
        how: grpc.ChannelCredentials | None = None,
        port: int | None = None,
    ) -> Autoscaler:
        """Return an autoscaler that calls it; ``port`` is that of a wire between the two."""
        target = f"127.0.0.1:{port or self.port}"
        return Autoscaler(grpc.secure_channel(target, how or credentials(), options=CHANNEL), generation, PATIENCE)

    def in_plain_text(self) -> Autoscaler:
        return Autoscaler(grpc.insecure_channel(f"127.0.0.1:{self.port}", options=CHANNEL), seconds=PATIENCE)

    def calls(self) -> float:
        """Return how many calls the server counts."""
        told = httpx.get(f"http://127.0.0.1:{self.looks}/metrics", trust_env=False, timeout=5).raise_for_status().text
        return sum(float(line.split()[-1]) for line in told.splitlines() if line.startswith(CALLS))

    def until(self, there: Callable[[], object], seconds: float = SECONDS) -> None:
        """Wait until something is there; fail with the server's log."""
        end = time.monotonic() + seconds
        while not there():
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)

    def _says(self, page: str) -> bool:
        assert self.process is None or self.process.poll() is None, self.log()
        try:
            return httpx.get(f"http://127.0.0.1:{self.looks}/{page}", trust_env=False, timeout=5).is_success
        except httpx.TransportError:
            return False
