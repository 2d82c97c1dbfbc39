"""A port of a pod, brought to this machine's loopback by kubectl for as long as it is needed."""

from __future__ import annotations

import http.client
import os
import re
import select
import subprocess
import time
from typing import TYPE_CHECKING

from scaler.errors import ScalerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TOLD = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+) ")


def fetch(argv: Sequence[str], path: str, *, timeout: float, env: Mapping[str, str]) -> bytes:
    """Run kubectl port-forward as ``argv`` says, get ``path`` through the port that it tells, and end it.

    Raises ScalerError with what kubectl said where nothing answers within ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    with subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **env},
        start_new_session=True,
    ) as process:
        said = b""
        try:
            while not (found := _TOLD.search(said)):
                more = _more(process, deadline)
                if not more:
                    why = said.decode(errors="replace").strip() or f"nothing within {timeout:g} s"
                    raise ScalerError(f"kubectl port-forward: {why}")
                said += more
            return _get(int(found[1]), path, max(1.0, deadline - time.monotonic()))
        finally:
            process.kill()


def _more(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """Return what it says next; nothing where it ended, or the time is over."""
    if process.stdout is None:
        return b""
    readable, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
    return os.read(process.stdout.fileno(), 4096) if readable else b""


def _get(port: int, path: str, timeout: float) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except (OSError, http.client.HTTPException) as e:
        raise ScalerError(f"nothing answers through the forwarded port: {e}") from e
    finally:
        connection.close()
