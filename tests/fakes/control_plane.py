"""Masters, members of etcd and load balancers as small programs on fake machines: units run, and what runs answers."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from scaler.errors import UnreachableError
from scaler.gateways.ssh import Said
from scaler.pki.names import carried
from scaler.plan.quorum import quorum
from scaler.steps import api_servers_held
from scaler.steps.pki_made import STEP as PKI_MADE
from scaler.steps.vip_handover import HOLD, LET_GO, SEND_NOTHING_ON, SEND_ON
from tests.fakes import world
from tests.fakes.etcd import FakeEtcd, FakeMember
from tests.fakes.kubelets import FakeKubelets
from tests.fakes.session import FakeSession, VerifiedStore, facts
from tests.fakes.ssh import FakeMachine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scaler.gateways.store import Store
    from scaler.model.inventory import Cluster, Host

ETCD, APISERVER = "etcd.service", "kube-apiserver.service"
KEEPALIVED = "keepalived.service"
CONTROLLERS = ("kube-controller-manager.service", "kube-scheduler.service")
PORTS = {
    ETCD: (2379, 2380),
    APISERVER: (6443,),
    "kube-controller-manager.service": (10257,),
    "kube-scheduler.service": (10259,),
    "kubelet.service": (10250,),
}
_PKI = {"etcd_pki": "/etc/etcd/pki", "kube_apiserver_pki": "/etc/kubernetes/pki"}
_ROLES = {"node-role.kubernetes.io/control-plane": "", "node-role.kubernetes.io/master": ""}
_CACHE: dict[str, Path] = {}


@dataclass
class Machine:
    """What is on one host: whose bundle, files by path, units that run, and what its API server was started with."""

    host: Host
    claim: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    units: set[str] = field(default_factory=set)
    # Whether the next start of etcd has no limit of time.
    unlimited: bool = False
    lists: tuple[str, ...] = ()
    member: int = 0
    listening: tuple[int, ...] = ()
    reached: set[tuple[str, int]] = field(default_factory=set)

    @property
    def listens(self) -> set[int]:
        return {port for unit in self.units for port in PORTS.get(unit, ())}


class FakeBalancer:
    """An HAProxy: servers that are ready or drained, whose checks pass where ``ready`` says so, and an admin socket."""

    def __init__(self, ready: Callable[[str], bool]) -> None:
        self._ready = ready
        self.servers: dict[str, str] = {}
        self.drained: set[str] = set()
        self.reloads = 0
        self.runs = True
        self.refuses = ""

    def put(self, servers: dict[str, str], *, check: bool) -> str:
        """Take a configuration; a reload, which only another one causes, forgets who was drained."""
        if self.refuses:
            return f"/etc/haproxy/haproxy.cfg is refused by haproxy, the old one stays: {self.refuses}"
        if servers != self.servers and not check:
            self.servers, self.drained = dict(servers), set()
            self.reloads += 1
        return ""

    @property
    def sends_to(self) -> set[str]:
        """The addresses that a new connection may go to now."""
        told = self.servers.items() if self.runs else ()
        return {address for name, address in told if name not in self.drained and self._ready(address)}

    def talk(self, command: str) -> str:
        words = command.split()
        if words == ["show", "stat"]:
            return self._stat()
        name = words[2].partition("/")[2]
        if name not in self.servers:
            return "No such server.\n\n"
        self.drained = self.drained - {name} | ({name} if words[4] == "drain" else set())
        return "\n"

    def _stat(self) -> str:
        names = ["# pxname", "svname", "status", "check_status", "last_chk", "addr"]
        out = io.StringIO()
        table = csv.writer(out)
        table.writerow(names)
        table.writerow(["api", "FRONTEND", "OPEN", "", "", ""])
        for name, address in self.servers.items():
            up = self._ready(address)
            status = "DRAIN" if name in self.drained else "UP" if up else "DOWN"
            check = ("L7OK", "HTTP status 200") if up else ("L4CON", "Connection refused")
            table.writerow(["masters", name, status, *check, f"{address}:6443"])
        table.writerow(["masters", "BACKEND", "UP", "", "", ""])
        return out.getvalue()


class FakeControlPlane:
    """A cluster of masters, balancers and new hosts, and what each of their programs says when it is asked.

    ``blocked`` are ways (from, to, port) that a firewall closes; ``sick`` are (host, unit) that run and are not well;
    ``taken`` are hosts where somebody else has etcd's ports; ``other_flags`` are flags with which a host's API server
    runs. ``outages`` tells who was stopped while a balancer sent to it; ``events`` what was done to balancers and API
    servers, in order.
    """

    def __init__(
        self,
        directory: Path,
        *new: str,
        masters: int = 1,
        balancers: int = 2,
        etcd: int = 0,
        workers: int = 1,
        vip: bool = False,
        becomes: str = "",
        on_masters: bool = False,
        **more: Any,
    ) -> None:
        self.directory = directory
        old = tuple(self.host(f"m{n + 1}") for n in range(masters))
        own = tuple(self.host(f"e{n + 1}") for n in range(etcd)) or old
        lbs = old if on_masters else tuple(self.host(f"lb{n + 1}") for n in range(balancers))
        self.new = tuple(self.host(name) for name in new)
        slaves = tuple(self.host(f"w{n + 1}") for n in range(workers))
        more.setdefault("api_endpoint", "10.0.0.100:8443" if on_masters else "10.0.0.100:6443")
        if vip:
            more["vip"] = "10.0.0.100"
        groups = {"masters": old, "etcd": own, "loadbalancers": lbs, "workers": slaves, "standby": self.new}
        self.fakes = world.Fakes(directory, self.new, **groups, **more)
        self.makes = becomes or ("etcd" if etcd else "masters")
        self.world = self.fakes.world
        self.world.plan = self.world.plan.model_copy(update={"makes": self.makes})
        self.etcd = self.fakes.etcd = self.world.etcd = FakeEtcd(
            [FakeMember(n + 1, f"https://{h.address}:2380", h.name) for n, h in enumerate(own)]
        )
        self.machines = {h.name: Machine(h) for group in groups.values() for h in group}
        self.balancers: dict[str, FakeBalancer] = {}
        self.holder = "m1" if on_masters else "lb1"
        self.blocked: set[tuple[str, str, int]] = set()
        self.sick: set[tuple[str, str]] = set()
        self.taken: set[str] = set()
        self.other_flags: dict[str, dict[str, str]] = {}
        self.outages: list[str] = []
        self.events: list[str] = []
        self.heard: list[Callable[[], None]] = []
        self.catches_up = True
        self.vip_moves = True
        # The exit status of what lets connections outlive the VIP's move.
        self.no_handover = 0
        self.keeps_lease: set[str] = set()
        self.certificate = ""
        self._guard = threading.Condition()
        self._pki()
        self._wire()
        self._begin(old, own, lbs, slaves)
        self.fakes.shown = self._shown

    @staticmethod
    def host(name: str) -> Host:
        """Return the host called ``name``: m1 is 10.0.0.1, lb1 10.0.0.21, e1 10.0.0.31, w1 10.0.0.41."""
        kind = name.rstrip("0123456789")
        return world.host(name, {"m": 0, "lb": 20, "e": 30, "w": 40}[kind] + int(name.removeprefix(kind)))

    @property
    def settings(self) -> Any:
        return self.world.cluster.settings

    def groups(self) -> dict[str, list[str]]:
        """Return the inventory's groups as they are on the disk."""
        tree = yaml.safe_load((self.directory / "hosts.yml").read_text(encoding="utf-8"))
        return {group: list((told or {}).get("hosts") or {}) for group, told in tree["all"]["children"].items()}

    def lists(self) -> dict[str, list[str]]:
        """Return what each API server that runs knows of etcd, the addresses."""
        return {
            name: sorted(url.removeprefix("https://").removesuffix(":2379") for url in machine.lists)
            for name, machine in self.machines.items()
            if APISERVER in machine.units
        }

    def ready(self, address: str) -> bool:
        """Tell whether the API server at ``address`` is ready: it runs, and a voter that it knows answers."""
        machine = self._at(address)
        if machine is None or APISERVER not in machine.units or (machine.host.name, APISERVER) in self.sick:
            return False
        voters = [m for m in self.etcd.all if not m.learner]
        up = {m.url.replace(":2380", ":2379") for m in voters if m.runs and m.name}
        return len(up) >= quorum(len(voters)) and bool(up & set(machine.lists))

    def session(self) -> FakeSession:
        """Return a session that begins now: the inventory read from the disk, everything private empty."""
        self.world.cluster = self._read()
        scratch = self.directory / f"scratch-{len(list(self.directory.glob('scratch*')))}"
        scratch.mkdir()
        made = FakeSession(
            cluster=self.world.cluster,
            ssh=cast("Any", self.fakes.ssh),
            playbooks=cast("Any", self.fakes.playbooks),
            store=cast("Store", VerifiedStore(self.directory, f"Kubernetes v{self.settings.kubernetes_version}")),
            clock=cast("Any", self.fakes.clock),
            scratch=scratch,
        )
        made.fakes = self.fakes
        return made

    # How it begins.

    def _pki(self) -> None:
        """Make the authorities once for all tests; the administrator's kubeconfig is of theirs."""
        target = self.settings.pki_dir
        self.settings.admin_kubeconfig.unlink()
        if "pki" in _CACHE and _CACHE["pki"].exists():
            shutil.copytree(_CACHE["pki"], target)
        PKI_MADE.apply(self.world, [])
        if "pki" not in _CACHE:
            import tempfile  # noqa: PLC0415

            _CACHE["pki"] = Path(tempfile.mkdtemp(prefix="scaler-test-pki-")) / "pki"
            shutil.copytree(target, _CACHE["pki"])

    def _wire(self) -> None:
        fakes = self.fakes
        for name, machine in self.machines.items():
            fakes.ssh.machines[name] = FakeMachine(facts(machine.host), files=machine.files)
        fakes.ssh.programs.append(self._answer)
        fakes.kube.unreached = self._unreached
        fakes.playbooks.programs |= {
            "master_install.yml": self._install,
            "etcd_install.yml": self._install,
            "master_remove.yml": self._remove,
            "etcd_remove.yml": self._remove,
            "loadbalancer_remove.yml": self._front_removed,
            "apiserver_lists.yml": self._roll,
            "loadbalancer_install.yml": self._balance,
            "local_balancer.yml": self._balance,
        }
        fakes.playbooks.installed.append(self._joined)
        self.kubelets = FakeKubelets(fakes.kube, fakes.ssh, fakes.playbooks, self.new)

    def _begin(self, old: Sequence[Host], own: Sequence[Host], lbs: Sequence[Host], slaves: Sequence[Host]) -> None:
        urls = [f"https://{h.address}:2379" for h in own]
        for number, each in enumerate(own):
            self.machines[each.name].units.add(ETCD)
            self.machines[each.name].member = number + 1
        for each in old:
            machine = self.machines[each.name]
            machine.units |= {APISERVER, *CONTROLLERS}
            machine.lists = tuple([u for u in urls if each.address in u] + [u for u in urls if each.address not in u])
            self._list(machine, machine.lists)
            self._copy(machine, "kube_apiserver_pki", self.settings.pki_dir)
            self.fakes.kube.add_node(
                each.name, address=each.address, labels=_ROLES, cidr=f"10.244.20{each.name[1:]}.0/24"
            )
        for each in slaves:
            self.fakes.kube.add_node(each.name, address=each.address, cidr=f"10.244.21{each.name[1:]}.0/24")
        fronts = slaves if self.settings.loadbalancer == "local" else lbs
        for each in fronts:
            self.balancers[each.name] = FakeBalancer(self.ready)
            self.balancers[each.name].servers = {m.name: m.address for m in old}
            self.machines[each.name].units |= {KEEPALIVED} if self.settings.vip else set()
        self._endpoints()
        self._write_inventory()

    def _write_inventory(self) -> None:
        cluster = self.world.cluster
        children = {}
        for group in ("masters", "etcd", "loadbalancers", "workers", "standby"):
            same = group == "etcd" and cluster.own_etcd
            told = {h.name: None if same else {"ansible_host": h.address} for h in getattr(cluster, group)}
            children[group] = {"hosts": told}
        text = yaml.safe_dump({"all": {"children": children}}, sort_keys=False)
        (self.directory / "hosts.yml").write_text(text, encoding="utf-8")
        self.world.cluster = self._read()

    def _read(self) -> Cluster:
        digest = hashlib.sha256((self.directory / "hosts.yml").read_bytes()).hexdigest()
        groups: Any = {name: tuple(self.host(each) for each in told) for name, told in self.groups().items()}
        return self.world.cluster.model_copy(update={"hosts_digest": digest, **groups})

    # Playbooks.

    def _install(self, host: Host, told: dict[str, Any], check: bool) -> str:  # noqa: FBT001 - as playbooks tell it
        del check
        machine = self.machines[host.name]
        machine.claim = told["scaler_claim"]
        master = "etcd_wanted" in told and told.get("kube_apiserver_pki") and self.makes == "masters"
        if told["etcd_wanted"]:
            self._copy(machine, "etcd_pki", Path(told["etcd_pki"]))
            initial = told.get("etcd_initial_cluster", f"{host.name}=https://{host.address}:2380")
            if initial:
                machine.files.setdefault("/etc/etcd/etcd.yaml", initial)
        changed = False
        if master:
            self._copy(machine, "kube_apiserver_pki", Path(told["kube_apiserver_pki"]))
            urls = told.get("kube_apiserver_etcd_servers", [f"https://{host.address}:2379"])
            changed = self._list(machine, urls)
        every = [*([ETCD] if told["etcd_wanted"] else []), *([APISERVER, *CONTROLLERS] if master else [])]
        why = ""
        for unit in every:
            if not why and unit in told.get("scaler_run", every):
                why = self._start(machine, unit, changed=changed)
        self._look(machine)
        return why

    def _list(self, machine: Machine, urls: Iterable[str]) -> bool:
        before = machine.files.get("/etc/kubernetes/kube-apiserver.env")
        machine.files["/etc/kubernetes/kube-apiserver.env"] = ",".join(urls)
        return before != machine.files["/etc/kubernetes/kube-apiserver.env"]

    def _start(self, machine: Machine, unit: str, *, changed: bool) -> str:
        if unit in machine.units and not (unit == APISERVER and changed):
            return ""
        if unit == ETCD:
            why = self._member_starts(machine)
            if why:
                return f"{unit} does not start: {why}"
        if unit == APISERVER:
            self._stopped(machine, "restarted")
            machine.lists = tuple(machine.files["/etc/kubernetes/kube-apiserver.env"].split(","))
            self._did(f"start {machine.host.name} {len(machine.lists)}")
        machine.units.add(unit)
        if unit == APISERVER:
            self._endpoints()
        return ""

    def _member_starts(self, machine: Machine) -> str:
        """Start etcd as it does: a first start needs the list's very URLs, a later one its own ID in the list."""
        url = f"https://{machine.host.address}:2380"
        found = self.etcd.at(url)
        told = machine.files.get("/etc/etcd/etcd.yaml")
        if told is None:
            return "open /etc/etcd/etcd.yaml: no such file or directory"
        if machine.member and (found is None or found.id != machine.member):
            return "the member has been permanently removed from the cluster"
        if not machine.member and {each.partition("=")[2] for each in told.split(",")} != {
            m.url for m in self.etcd.all
        }:
            return "error validating peerURLs: member count is unequal"
        assert found
        machine.member = found.id
        self.etcd.start(machine.host.name, machine.host.address, catches_up=self.catches_up)
        return ""

    def _remove(self, host: Host, told: dict[str, Any], check: bool) -> str:  # noqa: FBT001 - as above
        del told, check
        machine = self.machines[host.name]
        for unit in sorted(machine.units - {"kubelet.service"}):
            self._stop(machine, unit)
        machine.claim, machine.member = {}, 0
        machine.files.clear()
        self._look(machine)
        return ""

    def _front_removed(self, host: Host, told: dict[str, Any], check: bool) -> str:  # noqa: FBT001 - as above
        del told, check
        self._did(f"front removed {host.name}")
        self.balancers.pop(host.name, None)
        return ""

    def _stop(self, machine: Machine, unit: str) -> None:
        if unit == APISERVER and unit in machine.units:
            self._stopped(machine, "stopped")
            self._did(f"stop {machine.host.name}")
            if machine.host.name not in self.keeps_lease:
                self._endpoints(without=machine.host.address)
        if unit == KEEPALIVED:
            self._did(f"stop Keepalived {machine.host.name}")
        if unit == KEEPALIVED and self.holder == machine.host.name:
            others = [n for n in self.balancers if n != self.holder and KEEPALIVED in self.machines[n].units]
            self.holder = others[0] if others and self.vip_moves else self.holder
        if unit == ETCD:
            self.etcd.stop(machine.host.address)
        machine.units.discard(unit)

    def _stopped(self, machine: Machine, how: str) -> None:
        for name, balancer in self.balancers.items():
            # A balancer that never gets the VIP is asked by nobody.
            if self.settings.vip and KEEPALIVED not in self.machines[name].units:
                continue
            if APISERVER in machine.units and machine.host.address in balancer.sends_to:
                self.outages.append(f"{machine.host.name} was {how} while {name} sent to it")

    def _roll(self, host: Host, told: dict[str, Any], check: bool) -> str:  # noqa: FBT001 - as above
        del check
        machine = self.machines[host.name]
        changed = self._list(machine, told["kube_apiserver_etcd_servers"])
        return self._start(machine, APISERVER, changed=changed) if APISERVER in told["scaler_run"] else ""

    def _balance(self, host: Host, told: dict[str, Any], check: bool) -> str:  # noqa: FBT001 - as above
        servers = {each["name"]: each["address"] for each in told["lb_masters"]}
        self._did(f"{'check' if check else 'put'} {host.name} {','.join(servers)}")
        return self.balancers[host.name].put(servers, check=check)

    def _joined(self, playbook: str, name: str) -> None:
        if playbook == "worker_install.yml":
            self.machines[name].units.add("kubelet.service")
            self._look(self.machines[name])

    def _copy(self, machine: Machine, role: str, directory: Path) -> None:
        for path in directory.glob("*.*"):
            name = path.name
            if role == "etcd_pki":
                name = name.removeprefix("etcd-") if name.startswith("etcd-") else ""
            where = "/etc/kubernetes/encryption.yaml" if name == "encryption.yaml" else f"{_PKI[role]}/{name}"
            if name:
                machine.files.setdefault(where, path.read_text(encoding="utf-8"))

    def _did(self, event: str) -> None:
        """Remember what is about to be done; whoever listens may end scaler here."""
        self.events.append(event)
        for tell in self.heard:
            tell()

    def _look(self, machine: Machine) -> None:
        """Let the probe see what is there."""
        listeners = [
            {"port": port, "process": unit.removesuffix(".service")[:15]}
            for unit in sorted(machine.units)
            for port in PORTS.get(unit, ())
        ]
        left = sorted({str(Path(path).parent) for path in machine.files})
        told = facts(machine.host, listeners=listeners, leftovers=left, receipt=machine.claim)
        self.fakes.ssh.machines[machine.host.name].facts = told

    # What runs on machines.

    def _endpoints(self, without: str = "") -> None:
        """Let the Service ``kubernetes`` name the API servers that run."""
        up = [m.host.address for m in self.machines.values() if APISERVER in m.units and m.host.address != without]
        subsets = [{"addresses": [{"ip": address} for address in up]}]
        told = {"kind": "Endpoints", "metadata": {"name": "kubernetes", "namespace": "default"}, "subsets": subsets}
        self.fakes.kube.objects["Endpoints", "default", "kubernetes"] = told

    def _at(self, address: str) -> Machine | None:
        return next((m for m in self.machines.values() if m.host.address == address), None)

    def _unreached(self, server: str) -> str:
        refused = "dial tcp: connect: connection refused"
        if server:
            return "" if self.ready(server.rpartition(":")[0]) else refused
        fronts = [self.balancers[self.holder]] if self.holder in self.balancers else []
        if fronts:
            return "" if fronts[0].sends_to else refused
        return "" if any(self.ready(m.host.address) for m in self.machines.values()) else refused

    def _answer(self, host: Host, argv: list[str], stdin: str) -> Said | None:  # noqa: C901, PLR0911, PLR0912 - one case a program
        machine = self.machines[host.name]
        if self.fakes.ssh.machines[host.name].unreachable:
            return None
        match argv:
            case [_, "-"]:
                return Said(0, json.dumps(self._components(machine)), "")
            case [_, "-c", script, _] if "proxy_mode" in script:
                return Said(0, json.dumps(self._running(machine)), "")
            case [_, "-c", script] if "context_for" in script:
                return self._https(machine, json.loads(stdin))
            case [_, "-c", script, _, command] if "AF_UNIX" in script:
                return self._socket(host.name, command)
            case ["cat", "/etc/nginx/nginx.conf"]:
                servers = self.balancers[host.name].servers.values()
                return Said(0, "".join(f"  server {address}:6443 max_fails=1;\n" for address in servers), "")
            case ["cat", "/var/lib/scaler/master.json"] if machine.claim:
                return Said(0, json.dumps({"claim": machine.claim}), "")
            case ["ip", "-json", "address", "show"]:
                return Said(0, json.dumps(self._addresses(host)), "")
            case ["cat", "/etc/machine-id"]:
                return Said(0, f"machine-{host.name}\n", "")
            case ["sh", "-c", script, "vip", *_]:
                did = {HOLD: "hold", LET_GO: "let go", SEND_ON: "send on", SEND_NOTHING_ON: "send nothing on"}[script]
                self._did(f"{did} {host.name}")
                return Said(self.no_handover, "", "no TEE target" if self.no_handover else "")
            case [_, "-c", script] if script == api_servers_held.HOLD:
                return Said(0, "freed", "")
            case ["sh", "-c", _, "hold", name]:
                if name == "held":
                    self._did(f"freeze {host.name}")
                return Said(0, "", "")
            case ["rm", "-f", path, _] if path.startswith(api_servers_held.PLACE):
                self._did(f"free {host.name}")
                return Said(0, "", "")
            case ["sh", "-c", script, "stop", *units] if "disable --now" in script:
                stopped = [unit for unit in units if unit in machine.units]
                for unit in stopped:
                    self._stop(machine, unit)
                self._look(machine)
                return Said(0, "".join(f"{unit}\n" for unit in stopped), "")
            case ["systemctl", "disable", "--now", unit]:
                self._stop(machine, unit)
                self._look(machine)
                return Said(0, "", "")
            case ["sh", "-c", script, "start", unit] if "enable --now" in script:
                why = self._start(machine, unit, changed=False)
                self._look(machine)
                return Said(1 if why else 0, "", why)
            case ["systemctl", "show", "--property=SubState", "--value", unit]:
                return Said(0, "running\n" if unit in machine.units else "dead\n", "")
            case ["sh", "-c", script] if "scaler-learner.conf" in script:
                machine.unlimited = "infinity" in script
                return Said(0, "", "")
        return None

    def _shown(self, address: str, port: int) -> str:
        """Return the certificate that a server shows in its handshake: any of the authority's, for all it matters."""
        machine = self._at(address)
        if machine is None or port not in machine.listens:
            raise UnreachableError(f"{address}:{port} shows no certificate: connection refused")
        return self.certificate or (self.settings.pki_dir / "ca.crt").read_text(encoding="utf-8")

    def _socket(self, name: str, command: str) -> Said:
        balancer = self.balancers[name]
        if not balancer.runs:
            return Said(1, "", "Traceback\nFileNotFoundError: [Errno 2] No such file or directory")
        if command.startswith("set server"):
            _, _, server, _, state = command.split()
            self._did(f"{state} {name} {server.partition('/')[2]}")
        return Said(0, balancer.talk(command), "")

    def _addresses(self, host: Host) -> list[dict[str, Any]]:
        mine = [host.address, *(["10.0.0.100"] if self.settings.vip and host.name == self.holder else [])]
        return [
            {"ifname": "lo", "addr_info": [{"family": "inet", "local": "127.0.0.1"}]},
            {"ifname": "eth0", "addr_info": [{"family": "inet", "local": address} for address in mine]},
        ]

    def _running(self, machine: Machine) -> dict[str, Any]:
        """Tell processes with their arguments, and the certificates that are on the machine."""
        argv = {unit.removesuffix(".service"): [unit.removesuffix(".service")] for unit in machine.units}
        if "kube-apiserver" in argv:
            argv["kube-apiserver"].append(f"--etcd-servers={','.join(machine.lists)}")
        shown = {path: [text] for path, text in machine.files.items() if path.endswith(".crt")}
        return {"components": argv, "certificates": shown}

    def _components(self, machine: Machine) -> dict[str, Any]:
        pki = "/etc/kubernetes/pki"
        server = {
            "etcd-servers": ",".join(machine.lists),
            "client-ca-file": f"{pki}/ca.crt",
            "etcd-cafile": f"{pki}/etcd-ca.crt",
            "service-account-key-file": f"{pki}/sa.pub",
            "service-account-signing-key-file": f"{pki}/sa.key",
            "encryption-provider-config": "/etc/kubernetes/encryption.yaml",
            "service-cluster-ip-range": self.settings.service_cidr,
            **self.other_flags.get(machine.host.name, {}),
        }
        told = {"kube-apiserver": server} if APISERVER in machine.units else {}
        return {
            "components": told,
            "files": {path: hashlib.sha256(text.encode()).hexdigest() for path, text in machine.files.items()},
        }

    def _https(self, machine: Machine, told: dict[str, Any]) -> Said:
        if "listen" in told:
            return self._listen(machine, told)
        said = [self._asked(machine, ask) for ask in told["asks"]]
        return Said(0, json.dumps([{"status": 0 if why else 200, "error": why} for why in said]), "")

    def _asked(self, machine: Machine, ask: dict[str, Any]) -> str:
        local = ask["address"] == "127.0.0.1"
        target = machine if local else self._at(ask["address"])
        port = ask["port"]
        if target is None or (machine.host.name, target.host.name, port) in self.blocked:
            return "timed out"
        balancer = self.balancers.get(target.host.name)
        if balancer and port == self.settings.api_port:
            return "" if balancer.sends_to else "EOF occurred in violation of protocol"
        if port not in target.listens and not self._hears(machine, target, port):
            return "[Errno 111] Connection refused"
        return self._served(target, port, ask)

    def _served(self, target: Machine, port: int, ask: dict[str, Any]) -> str:
        unit = next((unit for unit in target.units if port in PORTS.get(unit, ())), "")
        if (target.host.name, unit) in self.sick:
            return "HTTP 500"
        if (
            unit == ETCD
            and port not in target.listening
            and ask["path"].split("?")[0] not in {"/health", "/members", "/version"}
        ):
            return "HTTP 404"
        if unit == APISERVER:
            # The masters of the beginning have none here, and carry every name.
            own = target.files.get("/etc/kubernetes/pki/apiserver.crt")
            name = ask["name"] or ask["address"]
            if own and name not in carried(own.encode()):
                return f"Hostname mismatch, certificate is not valid for {name!r}"
            return "" if self.ready(target.host.address) else "HTTP 500"
        return ""

    def _listen(self, machine: Machine, told: dict[str, Any]) -> Said:
        taken = machine.listens & set(told["listen"]) or self.taken & {machine.host.name}
        if taken:
            return Said(1, "", "Traceback\nOSError: [Errno 98] Address already in use")
        with self._guard:
            machine.listening, machine.reached = tuple(told["listen"]), set()
            self._guard.notify_all()
            # As long as the real one waits for its clients, cut short.
            self._guard.wait_for(lambda: len(machine.reached) >= told["clients"], timeout=1.0)
            machine.listening = ()
        return Said(0, json.dumps(sorted(machine.reached)), "")

    def _hears(self, machine: Machine, target: Machine, port: int) -> bool:
        """Tell whether the script that stands in for etcd listens there; it may be about to."""
        if port not in {2379, 2380}:
            return False
        with self._guard:
            if not self._guard.wait_for(lambda: port in target.listening, timeout=0.1):
                return False
            target.reached.add((machine.host.address, port))
            self._guard.notify_all()
        return True
