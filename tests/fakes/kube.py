from __future__ import annotations

import base64
import copy
import json
import re
import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from scaler.errors import UnreachableError
from scaler.gateways.kube import KubeError
from scaler.gateways.lease import LEASES
from scaler.pki.certificates import new_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tests.fakes.clock import FakeClock

JsonObject = dict[str, Any]

_KINDS = {
    "node": "Node",
    "nodes": "Node",
    "secrets": "Secret",
    "namespaces": "Namespace",
    "services": "Service",
    "pods": "Pod",
    "configmaps": "ConfigMap",
    "endpoints": "Endpoints",
    "certificatesigningrequests.v1.certificates.k8s.io": "CertificateSigningRequest",
    "poddisruptionbudgets": "PodDisruptionBudget",
    "persistentvolumes": "PersistentVolume",
    "volumeattachments.storage.k8s.io": "VolumeAttachment",
    "statefulsets": "StatefulSet",
    "deployments.apps": "Deployment",
    "daemonsets.apps": "DaemonSet",
    "leases.coordination.k8s.io": "Lease",
    "endpointslices.discovery.k8s.io": "EndpointSlice",
    "storageclasses": "StorageClass",
}
_NAMESPACED = {"Secret", "Service", "Pod", "ConfigMap", "PodDisruptionBudget", "StatefulSet", "Deployment"}
_NAMESPACED |= {"NetworkPolicy", "PersistentVolumeClaim"}
_NAME = re.compile(r"[a-z0-9]([-.:a-z0-9]*[a-z0-9])?")
_TOKEN = re.compile(r"bootstrap-token-([a-z0-9]{6})")
_KUBE_PROXY_SIGNER = "kubernetes.io/kube-apiserver-client"


class FakeKube:
    """An API server in memory: it keeps objects, allocates pod CIDRs, signs what was approved, refuses as the real one.

    ``cidrs`` are the ranges it has left. ``down`` makes every request fail until it is taken off; ``unreached`` tells
    for a server, "" for the load balancer, why it does not answer. ``on_approved`` hears of each approved request,
    ``on_lease`` of each written Lease; ``pod_answers`` decides what a command in a pod prints. What is evicted ends at
    once, unless ``pod_ends`` says no; its controller then starts it anew on the first node that is open. ``evicted``
    are those that went, in order.
    """

    def __init__(self, clock: FakeClock, *, version: str = "1.20.2", cidrs: Sequence[str] = ()) -> None:
        self.clock = clock
        self.version = version
        self.cidrs = list(cidrs)
        self.cidr_delay = 0.0
        self.down = ""
        self.unreached: Callable[[str], str] = lambda _: ""
        self.signs = True
        self.objects: dict[tuple[str, str, str], JsonObject] = {}
        self.ever: list[JsonObject] = []
        self.on_approved: list[Callable[[JsonObject], None]] = []
        self.on_lease: list[Callable[[JsonObject], None]] = []
        self.before_get: list[Callable[[], None]] = []
        self.refuse: Callable[[Sequence[str]], str | None] = lambda _: None
        self.pod_log: Callable[[str], str] = lambda _: "scaler-verify-runs\n"
        self.pod_answers: Callable[[str, str], str] = all_well
        self.pod_starts: Callable[[str], bool] = lambda _: True
        self.pod_ends: Callable[[str], bool] = lambda _: True
        self.evicted: list[str] = []
        self._key = new_key()
        self._guard = threading.RLock()
        self._serial = 0
        self._asked = threading.local()
        for namespace in ("default", "kube-system"):
            self._store({"kind": "Namespace", "metadata": {"name": namespace}})

    # What tests read and set.

    def of(self, kind: str) -> dict[str, JsonObject]:
        return {name: told for (k, _, name), told in self.objects.items() if k == kind}

    def add_node(self, name: str, **changes: Any) -> JsonObject:
        told = node(name, **changes)
        self._store(told)
        return told

    def add_pod(self, name: str, node: str, owner: str = "", **more: Any) -> JsonObject:
        """Take a pod on ``node``; ``owner`` is its controller as KIND/NAME."""
        kind, _, parent = owner.partition("/")
        owners = [{"kind": kind, "name": parent, "controller": True, "uid": f"uid-{parent}"}] if owner else []
        metadata = {
            "name": name,
            "namespace": more.pop("namespace", "default"),
            "labels": dict(more.pop("labels", {})),
            "annotations": dict(more.pop("annotations", {})),
            "ownerReferences": owners,
        }
        status = {"phase": more.pop("phase", "Running")}
        told = {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": node, **more}, "status": status}
        self._store(told)
        return told

    def add(self, kind: str, name: str, namespace: str = "", **more: Any) -> JsonObject:
        """Take any other object."""
        meta = {"name": name, **({"namespace": namespace} if namespace else {})}
        told = {"kind": kind, "metadata": meta, **more}
        self._store(told)
        return told

    def submit(self, name: str, **spec: object) -> None:
        """Take a CertificateSigningRequest as a kubelet would make it; the API fills in who asks."""
        told = {"kind": "CertificateSigningRequest", "metadata": {"name": name}, "spec": dict(spec), "status": {}}
        with self._guard:
            self._store(told)

    def approved(self) -> set[str]:
        found = self.of("CertificateSigningRequest").items()
        return {n for n, csr in found if csr["status"].get("conditions")}

    # The protocol.

    def at(self, server: str) -> FakeServer:
        """Return the store as one server gives it."""
        return FakeServer(self, server)

    @contextmanager
    def asked_at(self, server: str) -> Iterator[None]:
        """Let this thread's requests go to ``server`` meanwhile."""
        self._asked.server = server
        try:
            yield
        finally:
            self._asked.server = ""

    def call(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 30) -> str:
        del timeout
        words = [word for word in argv if not word.startswith("--request-timeout=")]
        with self._guard:
            self._answer(words)
            if any(LEASES in word for word in words):
                return self._lease(words[0], next(word for word in words if LEASES in word), stdin)
            if words[:2] == ["create", "--raw"] and words[2].endswith("/eviction"):
                self._evict(json.loads(stdin))
                return ""
            return self._call(words)

    def get(self, kind: str, names: Iterable[str] = (), *, namespace: str = "") -> list[JsonObject]:
        wanted = list(names)
        with self._guard:
            for look in self.before_get:
                look()
            self._answer(["get", kind, *wanted])
            self._allocate()
            self._start_pods()
            found = [
                told
                for (k, space, name), told in self.objects.items()
                if k in {_KINDS[each] for each in kind.split(",")}
                and (not wanted or name in wanted)
                and (not namespace or space == namespace)
            ]
            return copy.deepcopy(found)

    def create(self, objects: Iterable[JsonObject], *, apply: bool = False) -> None:
        with self._guard:
            for told in objects:
                self._answer(["apply" if apply else "create", told["kind"], told["metadata"]["name"]])
                self._admit(told, apply=apply)
                self._store(copy.deepcopy(told))

    def fetch_forwarded(self, namespace: str, pod: str, port: int, path: str) -> bytes:
        del port, path
        with self._guard:
            self._answer(["port-forward", pod])
            return f"{self._existing('Pod', pod, namespace)['metadata']['name']}\n".encode()

    def delete(self, kind: str, names: Iterable[str], *, namespace: str = "", wait: bool = False) -> None:
        del wait
        with self._guard:
            for name in names:
                self._answer(["delete", kind, name])
                self.objects.pop((_KINDS[kind], namespace, name), None)
                if _KINDS[kind] == "Namespace":
                    for key in [k for k in self.objects if k[1] == name]:
                        del self.objects[key]

    # The inside.

    def _answer(self, argv: Sequence[str]) -> None:
        if self.down:
            raise UnreachableError(f"the API server does not answer: {self.down}")
        why = self.unreached(getattr(self._asked, "server", ""))
        if why:
            raise UnreachableError(f"the API server does not answer: {why}")
        said = self.refuse(argv)
        if said:
            raise KubeError(f"kubectl {' '.join(argv[:2])}: {said}")

    def _store(self, told: JsonObject) -> None:
        self._serial += 1
        meta = told["metadata"]
        meta.setdefault("uid", f"uid-{self._serial}")
        meta.setdefault("creationTimestamp", self.clock.now().isoformat())
        if told["kind"] == "Service":
            told["spec"].setdefault("clusterIP", "10.96.0.77")
            for port in told["spec"].get("ports", []) if told["spec"].get("type") == "NodePort" else []:
                port.setdefault("nodePort", 30000 + self._serial)
        if told["kind"] == "CertificateSigningRequest":
            told.setdefault("status", {})
            told["spec"].setdefault("username", "kubernetes-admin")
            told["spec"].setdefault("groups", ["system:masters"])
        self.objects[told["kind"], meta.get("namespace", ""), meta["name"]] = told
        self.ever.append(copy.deepcopy(told))

    def _admit(self, told: JsonObject, *, apply: bool) -> None:
        kind, name, space = told["kind"], told["metadata"]["name"], told["metadata"].get("namespace", "")
        if not _NAME.fullmatch(name):
            raise KubeError(f'The {kind} "{name}" is invalid: metadata.name: Invalid value: "{name}"')
        if not apply and (kind, space, name) in self.objects:
            raise KubeError(f'Error from server (AlreadyExists): {kind} "{name}" already exists')
        if kind in _NAMESPACED and ("Namespace", "", space) not in self.objects:
            raise KubeError(f'Error from server (NotFound): namespaces "{space}" not found')
        if kind == "CertificateSigningRequest":
            x509.load_pem_x509_csr(base64.b64decode(told["spec"]["request"]))
        if told.get("type") == "bootstrap.kubernetes.io/token":
            data = told["stringData"]
            match = _TOKEN.fullmatch(name)
            if not match or match[1] != data["token-id"] or not re.fullmatch("[a-z0-9]{16}", data["token-secret"]):
                raise KubeError(f'Secret "{name}" is invalid')

    def _call(self, argv: list[str]) -> str:  # noqa: C901, PLR0911, PLR0912 - one case a verb
        match argv:
            case ["get", "--raw", "/readyz"]:
                return "ok"
            case ["get", "--raw", "/readyz?verbose"]:
                return "[+]ping ok\n[+]etcd ok\nreadyz check passed\n"
            case ["get", "--raw", "/version"]:
                return json.dumps({"gitVersion": f"v{self.version}"})
            case ["version", "-o", "json"]:
                return json.dumps({"serverVersion": {"gitVersion": f"v{self.version}"}})
            case ["certificate", "approve", *names]:
                for name in names:
                    self._approve(name)
            case ["annotate", "nodes", *rest]:
                names = [word for word in rest if "=" not in word and not word.startswith("--") and word[-1] != "-"]
                for name in names:
                    self._annotate(name, [word for word in rest if word not in names and not word.startswith("--")])
            case ["cordon" | "uncordon" as verb, *names]:
                for name in names:
                    self._existing("Node", name)["spec"]["unschedulable"] = verb == "cordon"
            case ["get", "pods", "--all-namespaces", selector, "-o", "json"]:
                self._start_pods()
                on = selector.removeprefix("--field-selector=spec.nodeName=")
                return json.dumps({"items": [p for p in self._all("Pod") if p["spec"]["nodeName"] == on]})
            case ["get", "poddisruptionbudgets", "--all-namespaces", "-o", "json"]:
                return json.dumps({"items": self._all("PodDisruptionBudget")})
            case ["get", "nodes", "-l", selector, "-o", "json"]:
                label = tuple(selector.split("="))
                nodes = [told for told in self._all("Node") if label in told["metadata"].get("labels", {}).items()]
                return json.dumps({"items": nodes})
            case ["get", "namespaces", "-l", selector, "-o", "json"]:
                label = tuple(selector.split("="))
                spaces = [
                    told for told in self._all("Namespace") if label in told["metadata"].get("labels", {}).items()
                ]
                return json.dumps({"items": spaces})
            case ["get", kinds, "-A", "-o", "json"]:
                wanted = {_KINDS[kind] for kind in kinds.split(",")}
                return json.dumps({"items": [told for (k, _, _), told in self.objects.items() if k in wanted]})
            case ["delete", "-n", space, "pod", name, "--wait=false"]:
                self._existing("Pod", name, space)
                if self.pod_ends(name):
                    del self.objects["Pod", space, name]
            case ["delete", "-n", space, _, "-l", selector, "--wait=false"]:
                labels = dict(word.split("=") for word in selector.split(","))
                for key in [k for k, told in self.objects.items() if k[1] == space and _has(told, labels)]:
                    del self.objects[key]
            case ["get", kinds, *rest, "-o", "json"]:
                wanted = {_KINDS[kind] for kind in kinds.split(",")}
                space = rest[1] if rest[:1] == ["-n"] else ""
                items = [told for (k, s, _), told in self.objects.items() if k in wanted and s == space]
                return json.dumps({"kind": "List", "items": items})
            case ["delete", "pods", *names, "-n", space, "--ignore-not-found", "--force", "--grace-period=0", _]:
                for name in names:
                    self._ended(self.objects["Pod", space, name])
            case ["delete", "pods", "--all", "-n", space, *_]:
                for key in [k for k in self.objects if k[:2] == ("Pod", space)]:
                    del self.objects[key]
            case ["get", "-n", _, "events", *_]:
                return "Warning Failed: no such image\nNormal Pulling: pulling image\n"
            case ["logs", "-n", space, name]:
                return self.pod_log(self._existing("Pod", name, space)["spec"]["nodeName"])
            case ["exec", "-n", space, name, *_, "--", "sh", "-c", script]:
                return self.pod_answers(self._existing("Pod", name, space)["spec"]["nodeName"], script)
            case _:
                raise KubeError(f"error: unknown command {argv}")
        return ""

    def _lease(self, verb: str, path: str, stdin: str) -> str:
        """Answer as the API does to ``--raw``; each write makes a version, and an old version is refused."""
        key = ("Lease", "kube-system", "scaler")
        there, wanted = self.objects.get(key), json.loads(stdin or "{}")
        named = path.removeprefix(f"--raw={LEASES}")
        assert named == ("" if verb == "create" else "/scaler")
        if verb == "create" and there:
            raise KubeError('Error from server (AlreadyExists): leases.coordination.k8s.io "scaler" already exists')
        if verb == "get" and not there:
            raise KubeError('Error from server (NotFound): leases.coordination.k8s.io "scaler" not found')
        if verb != "get":
            meta = wanted["metadata"]
            # A Lease that is not there is made by a replacement too, unless it names the one that it replaces.
            known = there["metadata"] if there else {"uid": "", "resourceVersion": meta.get("resourceVersion")}
            if any(meta.get(name, known[name]) != known[name] for name in ("uid", "resourceVersion")):
                raise KubeError("Error from server (Conflict): the object has been modified; please apply your changes")
            meta["uid"] = known["uid"] or f"uid-lease-{self._serial}"
            self._serial += 1
            wanted["metadata"]["resourceVersion"] = str(self._serial)
            self.objects[key] = wanted
            for hear in self.on_lease:
                hear(copy.deepcopy(wanted))
        return json.dumps(self.objects[key])

    def _all(self, kind: str) -> list[JsonObject]:
        return [told for (k, _, _), told in self.objects.items() if k == kind]

    def _evict(self, eviction: JsonObject) -> None:
        meta = eviction["metadata"]
        pod = self._existing("Pod", meta["name"], meta["namespace"])
        wanted = "policy/v1" if self.version >= "1.22" else "policy/v1beta1"
        if eviction["apiVersion"] != wanted:
            raise KubeError(f"kubectl create --raw: Error from server (BadRequest): no {eviction['apiVersion']}")
        if eviction["deleteOptions"]["preconditions"]["uid"] != pod["metadata"]["uid"]:
            raise KubeError("kubectl create --raw: Error from server (Conflict): Precondition failed: UID")
        if any(self._allowed(budget) < 1 for budget in self._all("PodDisruptionBudget") if _guards(budget, pod)):
            raise KubeError(
                "kubectl create --raw: Error from server (TooManyRequests): "
                "Cannot evict pod as it would violate the pod's disruption budget."
            )
        self.evicted.append(meta["name"])
        if self.pod_ends(meta["name"]):
            self._ended(pod)
        else:
            pod["metadata"]["deletionTimestamp"] = self.clock.now().isoformat()

    def _allowed(self, budget: JsonObject) -> int:
        """Count as the API does how many of a budget's pods may go, and write it into its status."""
        self._start_pods()
        conditions = [pod["status"]["conditions"][0]["status"] for pod in self._all("Pod") if _guards(budget, pod)]
        healthy, wanted = conditions.count("True"), int(budget["spec"]["minAvailable"])
        budget["status"] = {
            "currentHealthy": healthy,
            "desiredHealthy": wanted,
            "disruptionsAllowed": max(0, healthy - wanted),
        }
        return max(0, healthy - wanted)

    def _ended(self, pod: JsonObject) -> None:
        """Take a pod away and let its controller make another one."""
        meta = pod["metadata"]
        del self.objects["Pod", meta["namespace"], meta["name"]]
        owner = next(iter(meta["ownerReferences"]), None)
        if owner is None or owner["kind"] not in {"StatefulSet", "ReplicaSet"}:
            return
        opened = [n["metadata"]["name"] for n in self._all("Node") if not n["spec"].get("unschedulable")]
        name = meta["name"] if owner["kind"] == "StatefulSet" else f"{meta['name']}x"
        kept = {k: v for k, v in meta.items() if k in {"namespace", "labels", "annotations", "ownerReferences"}}
        spec = {**pod["spec"], "nodeName": next(iter(opened), "")}
        self._store({"kind": "Pod", "metadata": {**kept, "name": name}, "spec": spec, "status": {}})

    def _existing(self, kind: str, name: str, space: str = "") -> JsonObject:
        try:
            return self.objects[kind, space, name]
        except KeyError:
            raise KubeError(f'Error from server (NotFound): {kind} "{name}" not found') from None

    def _annotate(self, name: str, words: list[str]) -> None:
        annotations = self._existing("Node", name)["metadata"].setdefault("annotations", {})
        for word in words:
            key, equals, value = word.partition("=")
            if equals:
                annotations[key] = value
            else:
                annotations.pop(key.removesuffix("-"), None)

    def _approve(self, name: str) -> None:
        csr = self._existing("CertificateSigningRequest", name)
        csr["status"]["conditions"] = [{"type": "Approved", "status": "True"}]
        if self.signs:
            csr["status"]["certificate"] = self._sign(csr)
        for hear in self.on_approved:
            hear(csr)

    def _sign(self, csr: JsonObject) -> str:
        asked = x509.load_pem_x509_csr(base64.b64decode(csr["spec"]["request"]))
        now = self.clock.now()
        builder = x509.CertificateBuilder().subject_name(asked.subject).issuer_name(asked.subject)
        builder = builder.public_key(asked.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=365))
        made = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return base64.b64encode(made).decode()

    def _allocate(self) -> None:
        for told in self.of("Node").values():
            age = self.clock.now().isoformat() >= self._plus(told["metadata"]["creationTimestamp"])
            if not told.setdefault("spec", {}).get("podCIDR") and self.cidrs and age:
                told["spec"]["podCIDR"] = self.cidrs.pop(0)

    def _plus(self, created: str) -> str:
        from datetime import datetime  # noqa: PLC0415

        return (datetime.fromisoformat(created) + timedelta(seconds=self.cidr_delay)).isoformat()

    def _start_pods(self) -> None:
        for number, pod in enumerate(self._all("Pod")):
            if pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
                continue
            if wanted := pod["spec"].get("affinity"):
                terms = wanted["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
                pod["spec"]["nodeName"] = terms[0]["matchFields"][0]["values"][0]
            runs = bool(pod["spec"]["nodeName"]) and self.pod_starts(pod["spec"]["nodeName"])
            pod["status"] = {
                "phase": "Running" if runs else "Pending",
                "podIP": f"10.244.9.{number + 1}",
                "conditions": [{"type": "Ready", "status": "True" if runs else "False"}],
            }


class FakeServer:
    """One API server of the cluster: the same store, and its own way to it."""

    def __init__(self, kube: FakeKube, server: str) -> None:
        self._kube, self._server = kube, server

    def at(self, server: str) -> FakeServer:
        return FakeServer(self._kube, server)

    def call(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 30) -> str:
        with self._kube.asked_at(self._server):
            return self._kube.call(argv, stdin=stdin, timeout=timeout)

    def get(self, kind: str, names: Iterable[str] = (), *, namespace: str = "") -> list[JsonObject]:
        with self._kube.asked_at(self._server):
            return self._kube.get(kind, names, namespace=namespace)

    def create(self, objects: Iterable[JsonObject], *, apply: bool = False) -> None:
        with self._kube.asked_at(self._server):
            self._kube.create(objects, apply=apply)

    def fetch_forwarded(self, namespace: str, pod: str, port: int, path: str) -> bytes:
        with self._kube.asked_at(self._server):
            return self._kube.fetch_forwarded(namespace, pod, port, path)

    def delete(self, kind: str, names: Iterable[str], *, namespace: str = "", wait: bool = False) -> None:
        with self._kube.asked_at(self._server):
            self._kube.delete(kind, names, namespace=namespace, wait=wait)


def _has(told: JsonObject, labels: dict[str, str]) -> bool:
    return bool(labels.items() <= told["metadata"].get("labels", {}).items())


def _guards(budget: JsonObject, pod: JsonObject) -> bool:
    labels: dict[str, str] = budget["spec"]["selector"]["matchLabels"]
    same = budget["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return bool(same) and labels.items() <= pod["metadata"].get("labels", {}).items()


def all_well(_node: str, script: str) -> str:
    """Answer a verification's script as a pod does whose checks all hold."""
    return "".join(f"{name}\t0\t\n" for name in re.findall(r"%s\\n' (\S+) \$s", script))


def node(name: str, *, ready: bool = True, address: str = "", cidr: str = "", **more: Any) -> JsonObject:
    """Return a Node as the API tells it."""
    info = {"machineID": more.pop("machine_id", f"machine-{name}"), "systemUUID": more.pop("uuid", f"UUID-{name}")}
    info["kubeletVersion"] = "v1.20.2"
    condition = {"type": "Ready", "status": "True" if ready else "False", "message": more.pop("why", "it is well")}
    return {
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": dict(more.pop("annotations", {})),
            "labels": dict(more.pop("labels", {})),
        },
        "spec": {**({"podCIDR": cidr} if cidr else {}), **more},
        "status": {
            "conditions": [condition],
            "addresses": [{"type": "InternalIP", "address": address}] if address else [],
            "nodeInfo": info,
        },
    }
