"""The doors to one managed cluster: the cloud's API, and Kubernetes' through a kubeconfig."""

from __future__ import annotations

import json
import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.app.runner import Runner
from scaler.drivers import cloud
from scaler.drivers.cloud import Doors
from scaler.drivers.cloud_calls import Calls
from scaler.errors import InputError, NotOfferedError
from scaler.gateways.clock import SystemClock
from scaler.gateways.kube import Kubectl
from scaler.gateways.places import cache_dir
from scaler.plan.pool_plan import PoolPlan
from scaler.steps.clouds import CloudWorld

if TYPE_CHECKING:
    from scaler.drivers.cloud import Cloud, Offer
    from scaler.model.cloud_cluster import CloudCluster
    from scaler.model.pools import Pool
    from scaler.plan.plan import AnyPlan

POLL_VARIABLE = "SCALER_POLL_SECONDS"


class CloudSession(Runner):
    """The doors to one managed cluster; nothing is asked before it is needed."""

    def __init__(self, cluster: CloudCluster) -> None:
        self.cluster = cluster
        self.clock = SystemClock()

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.cluster.name

    @property
    def lease_seconds(self) -> int:
        """How long a Lease holds that is not renewed."""
        return self.cluster.settings.lease_seconds

    @property
    def poll_seconds(self) -> float:
        """How long to wait between two looks."""
        said = os.environ.get(POLL_VARIABLE, "")
        try:
            return float(said) if said else self.cluster.settings.poll_seconds
        except ValueError:
            raise InputError(f"{POLL_VARIABLE}={said}: not a number of seconds") from None

    @property
    def kube(self) -> Kubectl:
        """The API, by the operator's kubectl."""
        settings = self.cluster.settings
        if not settings.admin_kubeconfig.is_file():
            raise InputError(
                f"{settings.admin_kubeconfig}: no such file",
                hint="set admin_kubeconfig: whether nodes are Ready is the cluster's own API to tell",
            )
        return Kubectl(kubectl_of(self.cluster), settings.admin_kubeconfig, cache_dir() / "kubectl" / self.name)

    @cached_property
    def cloud(self) -> Cloud:
        """The cloud's API; its SDK is imported here."""
        driver = cloud.of(self.cluster.settings.kind)
        pause = min(1.0, self.poll_seconds)
        return driver(
            Doors(
                cluster=self.cluster.settings,
                clock=self.clock,
                environment=os.environ,
                make_calls=lambda translate: Calls(self.clock, translate, pause=pause),
            )
        )

    def must_offer(self, offer: Offer, what: str) -> None:
        """Refuse what this cloud does not offer."""
        if offer not in self.cloud.offers:
            raise NotOfferedError(f"{what} is not offered by this provider ({self.cloud.title})")

    def find(self, ref: str) -> Pool:
        """Return the pool of that name or ID; raises InputError where there is none, or several."""
        pools = self.cloud.pools()
        found = [pool for pool in pools if pool.id == ref] or [pool for pool in pools if pool.name == ref]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"several pools are called {ref}: {', '.join(pool.id for pool in found)}", hint="name the ID"
            )
        there = ", ".join(pool.name for pool in pools) or "none"
        raise InputError(f"cluster {self.name} has no pool {ref}", hint=f"its pools: {there}")

    def world(self, plan: AnyPlan, run: str = "") -> CloudWorld:
        """Return what the steps of ``plan`` act in."""
        if not isinstance(plan, PoolPlan):
            raise InputError(f"{plan.change} is a change of a binary cluster")
        return CloudWorld(
            run=run,
            plan=plan,
            kube=self.kube,
            clock=self.clock,
            cluster=self.cluster,
            cloud=self.cloud,
            poll_seconds=self.poll_seconds,
            wait_seconds=self.cluster.settings.wait_seconds,
            version=api_version(self.kube),
        )


def api_version(kube: Kubectl) -> str:
    """Return the version of the API servers."""
    told = json.loads(kube.call(["get", "--raw", "/version"]))
    # A managed cluster's has the vendor's own ending: v1.30.0-tke.3, v1.29.1-gke.1589020.
    return str(told["gitVersion"]).removeprefix("v").partition("-")[0].partition("+")[0]


def kubectl_of(cluster: CloudCluster) -> Path:
    """Return the kubectl that the inventory names, or the one on the PATH."""
    found = shutil.which(cluster.settings.kubectl)
    if found is None:
        raise InputError(f"there is no program {cluster.settings.kubectl}", hint="set kubectl in the inventory")
    return Path(found)
