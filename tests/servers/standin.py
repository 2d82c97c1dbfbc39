"""In the place of ``scaler add-node`` and ``remove-node``, where there are no hosts to change.

It takes the cluster's own lock, moves hosts in the inventory, makes and deletes Nodes in a real API server, and ends as
scaler does, with its envelope. A test steers it by files in its directory: while ``hold`` is there it goes no further,
``fail/HOST`` has why a host fails, ``refuse`` the kind of error by which a whole run is refused. ``runs`` tells what it
was asked for, ``overlaps`` when two were at work at once, which the lock must not let happen.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx

from scaler.engine import lock
from scaler.errors import LockedError

HOME = "SCALER_STANDIN"
# Python's own hook, sitecustomize.py on the path: a process that was started for a change becomes the stand-in, every
# other one is as it is. The server is the one that its user has, whatever way it has to start what it runs.
HOOK = f"""\
import os, runpy, sys, traceback
at = next((at for at, word in enumerate(sys.orig_argv) if word in ("add-node", "remove-node", "scale", "runs")), 0)
if at:
    code = 70
    try:
        code = runpy.run_path({__file__!r})["main"](sys.orig_argv[at:])
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)
"""
CODES = {"preflight": 4, "locked": 6, "unreachable": 7, "aborted": 10}
CAPACITY = {"cpu": "3", "memory": "7Gi", "pods": "110"}
LABELS = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}


def main(argv: list[str]) -> int:
    """Do as scaler would have done; return its exit code."""
    home = Path(os.environ[HOME])
    told = json.loads((home / "told.json").read_text())
    hosts = Path(told["hosts"])
    tree = json.loads(hosts.read_text())["all"]["children"]
    known = {name for group in tree.values() for name in group["hosts"]}
    verb, names = argv[0], [name for name in argv[1:] if name in known]
    _append(home / "runs", {"verb": verb, "hosts": names, "argv": argv})
    if verb not in {"add-node", "remove-node"} or not names:
        return _end(verb, 3, kind="input", message=f"the stand-in knows no {' '.join(argv)}")
    try:
        with lock.locked(told["cluster"], verb):
            return _change(home, told, verb, names)
    except LockedError as e:
        return _end(verb, CODES["locked"], kind="locked", message=e.message)
    except KeyboardInterrupt:
        return _end(verb, CODES["aborted"], kind="aborted", message="stopped in order")


def _change(home: Path, told: dict[str, Any], verb: str, names: list[str]) -> int:
    mine = home / "at-work"
    try:
        mine.touch(exist_ok=False)
    except FileExistsError:
        _append(home / "overlaps", {"verb": verb, "hosts": names})
    try:
        while (home / "hold").exists():
            time.sleep(0.02)
        if (home / "refuse").exists():
            kind = (home / "refuse").read_text()
            return _end(verb, CODES[kind], kind=kind, message="refused by the test")
        failed = {name: (home / "fail" / name).read_text() for name in names if (home / "fail" / name).exists()}
        done = [name for name in names if name not in failed]
        _move(told, verb, done)
    finally:
        mine.unlink(missing_ok=True)
    code = 0 if not failed else 2 if done else 9
    kind, message = ("partial" if done else "step", "; ".join(failed.values())) if failed else ("", "")
    result = "added" if verb == "add-node" else "removed"
    return _end(verb, code, kind=kind, message=message, **{result: done}, failed=failed)


def _move(told: dict[str, Any], verb: str, names: list[str]) -> None:
    """Move hosts in the inventory, and let their Nodes come or go first, as scaler does."""
    hosts = Path(told["hosts"])
    inventory = json.loads(hosts.read_text())
    tree = inventory["all"]["children"]
    here, there = ("standby", "workers") if verb == "add-node" else ("workers", "standby")
    trust = ssl.create_default_context(cafile=told["authority"])
    token = {"Authorization": f"Bearer {told['token']}"}
    with httpx.Client(base_url=told["url"], verify=trust, trust_env=False, headers=token) as api:
        for name in names:
            if name in tree[here]["hosts"]:
                tree[there]["hosts"][name] = tree[here]["hosts"].pop(name)
            if verb == "add-node":
                api.post("/api/v1/nodes", json=node(name, tree[there]["hosts"][name].get("pool", ""), told["pools"]))
            else:
                api.delete(f"/api/v1/nodes/{name}")
    beside = hosts.with_suffix(".new")
    beside.write_text(json.dumps(inventory))
    beside.replace(hosts)


def node(name: str, pool: str, pools: dict[str, Any]) -> dict[str, Any]:
    """Return the Node of a worker, Ready, with its pool's labels and no provider ID, as a kubelet registers it."""
    labels = {**LABELS, "kubernetes.io/hostname": name, **pools.get(pool, {}).get("labels", {})}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "", "lastHeartbeatTime": now}
    status = {"capacity": CAPACITY, "allocatable": CAPACITY, "conditions": [{**ready, "lastTransitionTime": now}]}
    metadata = {"name": name, "labels": {**labels, **({"scaler.dev/pool": pool} if pool else {})}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status}


def _append(path: Path, line: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(f"{json.dumps(line)}\n")


def _end(verb: str, code: int, *, kind: str = "", message: str = "", **data: Any) -> int:
    empty: dict[str, Any] = {"added": [], "removed": [], "present": [], "failed": {}, "left": {}, "later": {}}
    envelope: dict[str, Any] = {"schema": "scaler/v1", "command": verb, "ok": code == 0, "exit_code": code}
    envelope["data"] = (
        {**empty, "run": "20260101-000000-0000", "seconds": {}, "changed": not code, **data}
        if (kind not in {*CODES, "input"})
        else {}
    )
    if kind:
        envelope["error"] = {"kind": kind, "message": message, "hint": ""}
    sys.stdout.write(f"{json.dumps(envelope)}\n")
    return code
