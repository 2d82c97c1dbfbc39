"""A cluster whose pools an autoscaler moves: a real API server, an inventory, and a stand-in for what changes hosts."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
from typing import TYPE_CHECKING, Any, Self

import httpx2 as httpx

from scaler.gateways.process import run
from scaler.gateways.store import cache_dir
from scaler.lab.binaries import architecture_here
from scaler.lab.leaf import SUMS
from tests.clients.externalgrpc import KubeNode
from tests.servers import standin
from tests.servers.autoscaler import COMMAND, SECONDS, Server
from tests.servers.kubernetes import TOKEN

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tests.servers.kubernetes import ApiServer

CLUSTER = "prod"
NODES = "/api/v1/nodes"
POOLS: dict[str, Any] = {
    "web": {
        "min": 1,
        "max": 4,
        "labels": {"disk": "ssd", "accelerator": "nvidia-t4"},
        "taints": ["dedicated=web:NoSchedule"],
        "cpu": 8,
        "memory": "32Gi",
    },
    "batch": {"min": 0},
}
STANDBY = {**{f"s{number}": "web" for number in range(1, 6)}, "b1": "batch", "x1": ""}


class Served(Server):
    """The server of a cluster with worker w1 and hosts on standby, each told with its pool; "" is none."""

    def __init__(
        self,
        api: ApiServer,
        home: Path,
        *,
        pools: dict[str, Any] | None = None,
        standby: dict[str, str] | None = None,
        kubeconfig: Path | None = None,
    ) -> None:
        self.told = home / "standin"
        environment = {
            "SCALER_STATE_DIR": str(home / "state"),
            standin.HOME: str(self.told),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(self.told), os.environ.get("PYTHONPATH", "")))),
        }
        super().__init__(CLUSTER, home, environment)
        self.api, self.pools = api, pools or POOLS
        (self.told / "fail").mkdir(parents=True)
        (self.told / "sitecustomize.py").write_text(standin.HOOK)
        self._write_variables(kubeconfig or api.kubeconfig)
        self._write_hosts({"w1": "web"}, standby or STANDBY)
        authority = api.kubeconfig.with_name("roots.pem")
        self._tell_standin(authority)
        self.http = httpx.Client(
            base_url=api.url,
            verify=ssl.create_default_context(cafile=str(authority)),
            headers={"Authorization": f"Bearer {TOKEN}"},
            trust_env=False,
            timeout=10,
        )
        self.http.delete(NODES).raise_for_status()
        for name, pool in {"m1": "", "w1": "web"}.items():
            self.http.post(NODES, json=standin.node(name, pool, self.pools)).raise_for_status()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        if self.process and self.process.poll() is None:
            self.stop()
        self.until(lambda: not (self.told / "at-work").exists())
        self.http.close()

    @property
    def hosts_file(self) -> Path:
        return self.home / "inventories" / CLUSTER / "hosts.yml"

    def hold(self) -> None:
        """Let runs go no further than their beginning."""
        (self.told / "hold").touch()

    def release(self) -> None:
        (self.told / "hold").unlink(missing_ok=True)

    def fail(self, host: str, why: str) -> None:
        """Let each run fail on ``host``; "" lets it be."""
        if why:
            (self.told / "fail" / host).write_text(why)
        else:
            (self.told / "fail" / host).unlink()

    def refuse(self, kind: str) -> None:
        """Let each run be refused as a whole, by this kind of error."""
        (self.told / "refuse").write_text(kind)

    def operator(self, verb: str, host: str) -> None:
        """Do by hand what the server has others do, as soon as the cluster's lock is free."""
        argv = [*COMMAND, verb, host, "--cluster", CLUSTER, "--yes", "--output", "json"]
        self.until(lambda: run(argv, env=self.environment, check=False, timeout=SECONDS).status == 0)

    def runs(self) -> list[dict[str, Any]]:
        return self._lines("runs")

    def overlaps(self) -> list[dict[str, Any]]:
        return self._lines("overlaps")

    def given(self) -> list[str]:
        """Return the hosts that runs were asked to add, each time."""
        return [host for run in self.runs() if run["verb"] == "add-node" for host in run["hosts"]]

    def group(self, name: str) -> set[str]:
        """Return the hosts of a group of the inventory."""
        return set(json.loads(self.hosts_file.read_text())["all"]["children"][name]["hosts"])

    def nodes(self) -> list[KubeNode]:
        """Return the cluster's Nodes as an autoscaler tells of them."""
        told = self.http.get(NODES).raise_for_status().json()["items"]
        return [
            KubeNode(one["metadata"]["name"], one["spec"].get("providerID", ""), one["metadata"]["labels"])
            for one in told
        ]

    def node(self, name: str) -> KubeNode:
        return next(one for one in self.nodes() if one.name == name)

    def all_known(self) -> bool:
        """Tell whether each Node but the master's has its machine's ID."""
        return all(one.provider_id for one in self.nodes() if one.name != "m1")

    def _write_variables(self, kubeconfig: Path) -> None:
        store, architecture = cache_dir() / "store", architecture_here()
        version = self.api.kubectl.parents[1].name
        leaf = f"kubernetes/{version}/linux-{architecture}"
        sums = [line.split("  ") for line in (store / leaf / SUMS).read_text().splitlines()]
        directory = self.hosts_file.parent
        (directory / "group_vars").mkdir(parents=True)
        (directory / "binaries.sha256").write_text("".join(f"{sha}  {leaf}/{name}\n" for sha, name in sums))
        variables = {
            "cluster_name": CLUSTER,
            "kubernetes_version": version.removeprefix("v"),
            "kubernetes_arch": architecture,
            "etcd_version": "3.4.23",
            # An inventory has no address of loopback; nobody goes to these, and kubectl goes where its kubeconfig says.
            "api_endpoint": "192.0.2.1:6443",
            "pod_cidr": "10.244.0.0/16",
            "service_cidr": "10.9.0.0/24",
            "cluster_dns": "10.9.0.10",
            "admin_kubeconfig": str(kubeconfig),
            "binaries": str(store),
            "pools": self.pools,
        }
        (directory / "group_vars" / "all.yml").write_text(json.dumps(variables))

    def _write_hosts(self, workers: dict[str, str], standby: dict[str, str]) -> None:
        """Write JSON, which YAML has in it, so that the stand-in need not read more."""
        addresses = iter(range(2, 250))

        def hosts(pools: dict[str, str]) -> dict[str, Any]:
            return {
                name: {"ansible_host": f"192.0.2.{next(addresses)}", **({"pool": pool} if pool else {})}
                for name, pool in pools.items()
            }

        masters = hosts({"m1": ""})
        groups = {"masters": masters, "etcd": masters, "loadbalancers": {}}
        groups |= {"workers": hosts(workers), "standby": hosts(standby)}
        children = {name: {"hosts": members} for name, members in groups.items()}
        self.hosts_file.write_text(json.dumps({"all": {"children": children}}))

    def _tell_standin(self, authority: Path) -> None:
        told = {"hosts": str(self.hosts_file), "cluster": CLUSTER, "pools": self.pools}
        told |= {"url": self.api.url, "token": TOKEN, "authority": str(authority)}
        (self.told / "told.json").write_text(json.dumps(told))

    def _lines(self, name: str) -> list[dict[str, Any]]:
        with contextlib.suppress(FileNotFoundError):
            return [json.loads(line) for line in (self.told / name).read_text().splitlines()]
        return []
