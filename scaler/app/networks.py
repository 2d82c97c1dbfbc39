"""Look at how the living cluster's pods and Services are carried, before nodes join it or leave it."""

from __future__ import annotations

from concurrent.futures import as_completed
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from scaler.checks import running
from scaler.drivers import cni
from scaler.drivers.cni import Doors
from scaler.errors import GuardError, ScalerError
from scaler.gateways.threads import Threads
from scaler.model import proxy as proxies
from scaler.model.network import Network
from scaler.model.proxy import Living as LivingProxy
from scaler.plan import plan as plans

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from scaler.app.session import Session
    from scaler.model.inventory import Host
    from scaler.model.state import ClusterState

# So many masters are asked at once, and then so many workers; the first that tells is enough.
ASKED = 3
# A node that does not answer is not waited for any longer: others are asked meanwhile, and the run goes on without.
SECONDS = 12.0


class Looked(NamedTuple):
    """The network and the Services' way, as they live."""

    network: Network = Network()
    proxy: LivingProxy = LivingProxy()

    @property
    def living(self) -> plans.Living:
        """What a plan takes from it."""
        follows = {"kube_proxy_mode": self.proxy.mode, "kube_proxy_ipvs_scheduler": self.proxy.scheduler}
        return plans.Living(follows={k: v for k, v in follows.items() if v}, works=self.network.works)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What an operator should know."""
        return self.network.told


def look(session: Session, state: ClusterState, *, without: Collection[str] = ()) -> Looked:
    """Read the network from its own API, and kube-proxy's mode from nodes that live, ``without`` those named."""
    with Threads(1) as pool:
        asked = pool.submit(_proxy, session, state, without)
        seen, proxy = network(session), asked.result()
    if not proxy.mode and seen.replaces_proxy and not session.cluster.settings.kube_proxy_mode:
        # No node could be asked, and the network's own configuration tells as well.
        proxy = proxy.model_copy(update={"mode": "none"})
    return Looked(seen, proxy)


def network(session: Session) -> Network:
    """Read the network alone."""
    return cni.of(session.cluster.settings.cni).read(doors(session))


def doors(session: Session) -> Doors:
    """Return what a driver may use."""
    return Doors(session.cluster, session.kube, session.ssh, session.etcd)


def may_leave(session: Session, names: Sequence[str], state: ClusterState) -> Network:
    """Return the network, if anybody leaves; raises GuardError where it would not stand without ``names``."""
    if not names:
        return Network()
    driver, seen = cni.of(session.cluster.settings.cni), network(session)
    why = driver.may_leave(seen, names, state.nodes)
    if why:
        raise GuardError(why, hint="docs/reference/cni.md tells what nodes that stay need; nothing was touched")
    return seen


def _proxy(session: Session, state: ClusterState, without: Collection[str]) -> LivingProxy:
    """Ask masters that are Ready until one tells, and only where none does workers, since one of many may be dead."""
    problems: dict[str, str] = {}
    silent: list[str] = []
    for group in (session.cluster.masters, session.cluster.workers):
        found = _told(session, [host for host in group if _lives(host, state, without)][:ASKED], problems, silent)
        if found:
            return found
    if silent and not problems:
        return LivingProxy(mode="none", host=", ".join(silent))
    none = [f"{', '.join(silent)}: no kube-proxy runs there"] if silent else []
    return LivingProxy(why="; ".join([*problems.values(), *none]) or "no node of the inventory is Ready")


def _told(session: Session, hosts: Sequence[Host], problems: dict[str, str], silent: list[str]) -> LivingProxy | None:
    """Return what the first of ``hosts`` tells; of the others note who has no kube-proxy, and who has a problem."""
    problems |= {host.name: f"{host.name}: no answer in {SECONDS:g} s" for host in hosts}
    with Threads(ASKED, leaves=True) as pool, suppress(TimeoutError):
        asked = {pool.submit(running.look, session.ssh, host, etcd=False): host.name for host in hosts}
        for future in as_completed(asked, timeout=SECONDS):
            name = asked[future]
            try:
                told = future.result()
            except ScalerError as e:
                problems[name] = e.message
                continue
            if "kube-proxy" not in told.components and told.proxy_mode:
                return LivingProxy(mode="none", host=name, in_pods=True)
            if told.proxy_mode:
                return LivingProxy(mode=told.proxy_mode, scheduler=_scheduler(told), host=name)
            if "kube-proxy" in told.components:
                problems[name] = f"{name}: kube-proxy does not tell its mode"
            else:
                del problems[name]
                silent.append(name)
    return None


def _lives(host: Host, state: ClusterState, without: Collection[str]) -> bool:
    node = state.node(host.name)
    return host.name not in without and node is not None and node.ready


def _scheduler(told: running.Running) -> str:
    return (told.proxy_scheduler or proxies.DEFAULT_SCHEDULER) if told.proxy_mode == "ipvs" else ""
