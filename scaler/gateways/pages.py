"""A few pages over HTTP, for those that look from outside: metrics and whether all is well."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

from scaler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Page(NamedTuple):
    """What a page says: its status, and its text."""

    status: int
    text: str


@contextmanager
def shown(host: str, port: int, pages: Mapping[str, Callable[[], Page]]) -> Iterator[int]:
    """Show ``pages``, each made when it is asked for, at ``host``; yield the port, which is chosen where it is 0."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            made = pages.get(self.path.partition("?")[0])
            page = made() if made else Page(404, "not found\n")
            body = page.text.encode()
            self.send_response(page.status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
            """Say nothing: who looks every few seconds would fill the log."""
            del format, args

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        server = Server((host, port), Handler)
    except OSError as e:
        raise InputError(f"{host}:{port} cannot be listened on: {e.strerror}") from e
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
