"""Create the cluster-wide objects that joins depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaler.steps.base import Irreversible
from scaler.steps.credentials_issued import binding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World


class ClusterObjects(Irreversible):
    """Kubelets may ask for and renew certificates, and API servers may talk to kubelets."""

    title = "Create cluster-wide objects"

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return ["bind the roles for bootstrap, for kubelet certificate renewal, and for API server to kubelet"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Apply the bindings."""
        del hosts
        renew = "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient"
        world.kube.create(
            [
                binding(),
                _bind("scaler:node-certificate-renewal", renew, "Group", "system:nodes"),
                _bind("scaler:kubelet-api", "system:kubelet-api-admin", "User", "kube-apiserver-kubelet-client"),
            ],
            apply=True,
        )
        return {}


def _bind(name: str, role: str, kind: str, subject: str) -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        **binding(),
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": kind, "name": subject}],
    }


STEP = ClusterObjects()
