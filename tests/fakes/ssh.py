from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scaler.errors import UnreachableError
from scaler.gateways.ssh import Said

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.model.inventory import Host


@dataclass
class FakeMachine:
    """One machine: what its probe tells, its files, and whether it is there at all."""

    facts: dict[str, Any]
    unreachable: bool = False
    clock_offset: float = 0.0
    probe_status: int = 0
    probe_says: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    running: set[str] = field(default_factory=lambda: {"kubelet.service", "kube-proxy.service"})
    stubborn: str = ""
    log: str = "kubelet: a line of its log"
    # Bytes that its etcd has sent to storage.
    stored: int = 0
    proxy_mode: str = "iptables"
    proxy_scheduler: str = ""
    restarted: Callable[[], Said] = lambda: Said(0, "", "")

    def listed(self, path: str) -> Said:
        names = [each.removeprefix(f"{path}/") for each in self.files if each.startswith(f"{path}/")]
        return Said(0 if names else 2, "".join(f"{name}\n" for name in names), "")

    def runs(self) -> Said:
        """Tell what runs, as far as a join asks."""
        components: dict[str, list[str]] = {"kube-proxy": []} if "kube-proxy.service" in self.running else {}
        told = {"components": components, "certificates": {}, "proxy_mode": self.proxy_mode if components else ""}
        return Said(0, json.dumps({**told, "proxy_scheduler": self.proxy_scheduler}), "")

    def stop(self, units: Sequence[str]) -> Said:
        """Stop units, unless it is ``stubborn``, which is then what it says."""
        if self.stubborn:
            return Said(1, "", self.stubborn)
        stopped = [unit for unit in units if unit in self.running]
        self.running -= set(stopped)
        return Said(0, "".join(f"{unit}\n" for unit in stopped), "")


class FakeSsh:
    """Machines that answer the probe, ``true``, ``cat``, ``ls``, the journal, a kubelet's restart and its stop.

    ``programs`` are asked first: what else runs on machines, each answers what is its own.
    """

    def __init__(self, machines: dict[str, FakeMachine]) -> None:
        self.machines = machines
        self.programs: list[Callable[[Host, list[str], str], Said | None]] = []
        self.answered: set[str] = set()

    def run(  # noqa: C901, PLR0911, PLR0912 - one case a command
        self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60
    ) -> Said:
        del timeout
        machine = self.machines[host.name]
        if machine.unreachable:
            raise UnreachableError(f"{host.name}: SSH does not answer: no answer", hint="check address, port and sshd")
        self.answered.add(host.name)
        for program in self.programs:
            said = program(host, list(argv), stdin)
            if said is not None:
                return said
        match list(argv):
            case ["true"]:
                return Said(0, "", "")
            case ["cat", path]:
                there = path in machine.files
                return Said(
                    0 if there else 1, machine.files.get(path, ""), "" if there else f"cat: {path}: no such file"
                )
            case ["ls", "-A", path]:
                return machine.listed(path)
            case ["sh", "-c", script, "stop", *units] if "disable --now" in script:
                return machine.stop(units)
            case ["sh", "-c", script, "start", *units] if "enable --now" in script:
                machine.running |= set(units)
                return Said(0, "", "")
            case ["containerd", "--version"] | ["find", *_]:
                # No runtime, and no cache.
                return Said(1, "", "")
            case ["journalctl", *_]:
                return Said(0, f"{machine.log}\n", "")
            case ["sh", "-c", script] if "write_bytes" in script:
                return Said(0, f"{machine.stored}\n", "")
            case ["sh", "-c", script] if "systemctl restart kubelet" in script:
                return machine.restarted()
            case [_, "-c", script, _] if "proxyMode" in script:
                return machine.runs()
            case [_, "-", _] if stdin:
                return self._probe(machine)
        raise AssertionError(f"nothing of a fake machine's: {argv}")

    def _probe(self, machine: FakeMachine) -> Said:
        if machine.probe_status:
            return Said(machine.probe_status, "", "python3: not found")
        told = {**machine.facts, "time": time.time() + machine.clock_offset}
        return Said(0, json.dumps(told) if machine.probe_says is None else machine.probe_says, "")
