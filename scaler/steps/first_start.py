"""The first start of a new member of etcd, which has no limit of time; every later one has systemd's.

etcd says that it is ready once it has what the leader has, and gigabytes take longer than systemd's 90 s. The limit is
lifted in /run, for this start alone: a master that boots lets its API server wait for the end of etcd's start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import StepError

if TYPE_CHECKING:
    from scaler.model.inventory import Host
    from scaler.steps.base import World

_DIRECTORY = "/run/systemd/system/etcd.service.d"
_UNLIMITED = f"""
mkdir -p {_DIRECTORY} && printf '[Service]\\nTimeoutStartSec=infinity\\n' > {_DIRECTORY}/scaler-learner.conf &&
systemctl daemon-reload
"""
# A reload gives a start that is under way its limit back: this is for when it has ended.
_LIMITED = f"[ ! -e {_DIRECTORY}/scaler-learner.conf ] || {{ rm -r {_DIRECTORY} && systemctl daemon-reload; }}"


def unlimited(world: World, host: Host) -> None:
    """Let etcd's next start on ``host`` take as long as it takes; raises StepError where that cannot be."""
    _run(world, host, _UNLIMITED)


def limited(world: World, host: Host) -> None:
    """Give etcd's starts on ``host`` their limit back; raises StepError where that cannot be."""
    _run(world, host, _LIMITED)


def _run(world: World, host: Host, script: str) -> None:
    said = world.ssh.run(host, ["sh", "-c", script], timeout=60)
    if said.status != 0:
        raise StepError(f"{host.name}: the limit of etcd's start cannot be set: {said.err.strip()}")
