"""Creates a ConfigMap fifty times a second through a load balancer, each over a connection of its own, and counts.

Runs on any host (standard library only). Told by JSON on the first line of standard input; ends when that is closed,
and prints what came of it.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

EVERY = 0.02
TIMEOUT = 10


class Writer:
    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        directory = tempfile.mkdtemp()
        pair = Path(directory) / "pair.pem"
        pair.write_text(told["certificate"] + told["key"])
        self.tls = ssl.create_default_context(cadata=told["ca"])
        self.tls.load_cert_chain(pair)
        pair.unlink()
        Path(directory).rmdir()
        self.written: list[str] = []
        self.failures: list[str] = []
        self.gap = 0.0
        self.gap_at = ""
        self.slowest = 0.0

    def ask(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPSConnection(
            self.told["host"], self.told["port"], timeout=TIMEOUT, context=self.tls
        )
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, body=text, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
            if answer.status >= 300:
                raise OSError(f"HTTP {answer.status}: {said[:200].decode(errors='replace')}")
            return json.loads(said)
        finally:
            connection.close()

    def write(self, until: threading.Event) -> None:
        space = f"/api/v1/namespaces/{self.told['namespace']}/configmaps"
        number, last = 0, time.monotonic()
        due = last
        while not until.is_set():
            name = f"{self.told['prefix']}-{number}"
            number += 1
            began = time.monotonic()
            try:
                self.ask("POST", space, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
            except (OSError, http.client.HTTPException) as e:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {name}: {type(e).__name__}: {e}")
            else:
                now = time.monotonic()
                self.written.append(name)
                if now - last > self.gap:
                    self.gap, self.gap_at = now - last, time.strftime("%H:%M:%S")
                self.slowest, last = max(self.slowest, now - began), now
            due = max(due + EVERY, time.monotonic() - 1)
            until.wait(max(0.0, due - time.monotonic()))

    def readable(self) -> set[str]:
        space = f"/api/v1/namespaces/{self.told['namespace']}/configmaps?limit=500"
        found: set[str] = set()
        more = ""
        while True:
            told = self.ask("GET", space + (f"&continue={more}" if more else ""))
            found |= {item["metadata"]["name"] for item in told["items"]}
            more = told["metadata"].get("continue", "")
            if not more:
                return found


def main() -> None:
    writer = Writer(json.loads(sys.stdin.readline()))
    until = threading.Event()
    thread = threading.Thread(target=writer.write, args=[until])
    began = time.monotonic()
    thread.start()
    sys.stdin.read()
    until.set()
    thread.join()
    lost = sorted(set(writer.written) - writer.readable())
    said = {
        "written": len(writer.written),
        "failures": writer.failures,
        "gap": round(writer.gap, 3),
        "gap_at": writer.gap_at,
        "slowest": round(writer.slowest, 3),
        "seconds": round(time.monotonic() - began, 1),
        "lost": lost,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
