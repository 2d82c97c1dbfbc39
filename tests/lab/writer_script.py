"""Writes ConfigMaps through a load balancer, many times a second, each over a connection of its own, and counts.

There are few of them, so that the cluster's controllers are not kept busy by what only a test needs; each write names
the version that the one before it was answered with, so that a write that was lost later is a conflict. Runs on any
host (standard library only). Told by JSON on the first line of standard input; ends when that is closed, and prints
what came of it.
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

TIMEOUT = 10
# ConfigMaps that are written in turn.
MAPS = 20
# Seconds without an answered write from which on it is told when that was.
NOTED = 0.1


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
        self.written = 0
        # By map: what the last write that was answered put there, and the version it was answered with.
        self.numbers: dict[str, int] = {}
        self.versions: dict[str, str] = {}
        self.lost: list[str] = []
        self.failures: list[str] = []
        # (seconds, when it ended) of each time without an answered write that an operator would ask about.
        self.gaps: list[tuple[float, str]] = []
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

    def path(self, name: str = "") -> str:
        return f"/api/v1/namespaces/{self.told['namespace']}/configmaps" + (f"/{name}" if name else "")

    def put(self, name: str, number: int) -> None:
        """Create the map, or replace it if it is as the last answered write left it."""
        metadata = {"name": name}
        if name in self.versions:
            metadata["resourceVersion"] = self.versions[name]
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"number": str(number)}}
        method, path = ("PUT", self.path(name)) if name in self.versions else ("POST", self.path())
        answer = self.ask(method, path, body)
        self.numbers[name], self.versions[name] = number, answer["metadata"]["resourceVersion"]

    def look(self, name: str) -> bool:
        """Tell whether the map is there, and what is in it; a write that was answered must not be gone."""
        found = {item["metadata"]["name"]: item for item in self.ask("GET", self.path())["items"]}
        number = int(found[name]["data"]["number"]) if name in found else -1
        if number < self.numbers.get(name, -1):
            self.lost.append(f"{name}: {self.numbers[name]} was answered, {number} is there")
        if name in found:
            self.numbers[name], self.versions[name] = number, found[name]["metadata"]["resourceVersion"]
        return name in found

    def write(self, until: threading.Event) -> None:
        number, last = 0, time.monotonic()
        due = last
        unsure: set[str] = set()
        while not until.is_set():
            name = f"{self.told['prefix']}-{number % MAPS}"
            number += 1
            began = time.monotonic()
            try:
                if name in unsure:
                    self.look(name)
                    unsure.discard(name)
                self.put(name, number)
            except (OSError, http.client.HTTPException) as e:
                unsure.add(name)
                self.failures.append(f"{time.strftime('%H:%M:%S')} {name}: {type(e).__name__}: {e}")
            else:
                now = time.monotonic()
                self.written += 1
                if now - last > NOTED:
                    self.gaps.append((round(now - last, 3), time.strftime("%H:%M:%S")))
                self.slowest, last = max(self.slowest, now - began), now
            due = max(due + self.told["every"], time.monotonic() - 1)
            until.wait(max(0.0, due - time.monotonic()))

    def end(self) -> None:
        """Hold that all that was answered is there, and take the maps away."""
        for name in list(self.numbers):
            if self.look(name):
                self.ask("DELETE", self.path(name))


def main() -> None:
    writer = Writer(json.loads(sys.stdin.readline()))
    until = threading.Event()
    thread = threading.Thread(target=writer.write, args=[until])
    began = time.monotonic()
    thread.start()
    sys.stdin.read()
    until.set()
    thread.join()
    writer.end()
    said = {
        "written": writer.written,
        "failures": writer.failures,
        "gap": max(writer.gaps, default=(0.0, ""))[0],
        "gaps": sorted(writer.gaps, reverse=True)[:5],
        "slowest": round(writer.slowest, 3),
        "seconds": round(time.monotonic() - began, 1),
        "lost": writer.lost,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
