"""A writer that works while something is done to the cluster."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from scaler.lab import cgroups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.lab.host import Host
    from scaler.lab.layout import Lab

SCRIPT = Path(__file__).with_name("writer_script.py")
# Often enough to see a gap of half a second ten times over; the processors are those of the cluster too.
EVERY = 0.04
# Where only failed and lost writes count, and how long one took does not: leaves the processors to what is tried.
SELDOM = 0.1
# The file with what each writer came to, told at the end of the tests: a passing test shows nothing else.
FIGURES = "SCALER_TEST_FIGURES"


@dataclass
class Written:
    """What a writer did."""

    told: dict[str, Any] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Tell whether no write failed, none was lost, none waited half a second, and there were really many."""
        told = self.told
        enough = told["written"] >= 12 * told["seconds"]
        return not told["failures"] and not told["lost"] and told["gap"] <= 0.5 and enough


@contextmanager
def writing(
    lab: Lab, prefix: str, *, on: Host | None = None, endpoint: str = "", every: float = EVERY
) -> Iterator[Written]:
    """Write each ``every`` seconds through ``endpoint`` (the kubeconfig's) from here, or from ``on``, until left."""
    yaml = YAML(typ="safe", pure=True).load((lab.inventory / "admin.kubeconfig").read_text())
    server, user = yaml["clusters"][0]["cluster"], yaml["users"][0]["user"]
    host, _, port = (endpoint or server["server"].removeprefix("https://")).rpartition(":")
    asked = {
        "host": host,
        "port": int(port),
        "ca": base64.b64decode(server["certificate-authority-data"]).decode(),
        "certificate": base64.b64decode(user["client-certificate-data"]).decode(),
        "key": base64.b64decode(user["client-key-data"]).decode(),
        "namespace": "default",
        "prefix": prefix,
        "every": every,
    }
    argv = [sys.executable, "-c", SCRIPT.read_text()]
    if on is not None:
        quoted = SCRIPT.read_text().replace("'", "'\"'\"'")
        argv = ["ssh", "-i", str(lab.client_key), "-o", f"UserKnownHostsFile={lab.known_hosts}"]
        argv += [f"root@{on.address}", f"python3 -c '{quoted}'"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    # It is a client with a processor of its own, as the hosts are: what it waits for is the cluster.
    cgroup = lab.host_cgroup(prefix)
    for entry in cgroups.make(cgroup):
        entry.write_text(str(process.pid))
    process.stdin.write(json.dumps(asked) + "\n")
    process.stdin.flush()
    written = Written()
    try:
        yield written
    finally:
        out, _ = process.communicate(timeout=120)
        cgroups.remove(cgroup)
        if out:
            written.told = json.loads(out)
            told = {**written.told, "failures": len(written.told["failures"]), "lost": len(written.told["lost"])}
            with Path(os.environ.get(FIGURES, os.devnull)).open("a") as file:
                file.write(f"{lab.name} {prefix}: {json.dumps(told)}\n")
