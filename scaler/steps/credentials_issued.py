"""Give each host its credentials: a bootstrap token for its kubelet, a certificate of its own for kube-proxy.

Both come from the API: no CA key is read for a worker. The token is one host's, lives 15 minutes and is deleted once
the host has joined.
"""

from __future__ import annotations

import base64
import secrets
import string
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from scaler.errors import StepError
from scaler.gateways.clock import wait_until
from scaler.gateways.files import write_atomically
from scaler.gateways.kubeconfig import read
from scaler.gateways.templates import render
from scaler.gateways.threads import Threads
from scaler.model.state import Csr
from scaler.pki.certificates import Subject, new_key, pem, request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

TOKEN_LIFE = timedelta(minutes=15)
GROUP = "system:bootstrappers:scaler"
BINDING = "scaler:node-bootstrapper"
SIGN_SECONDS = 20.0
_LETTERS = string.ascii_lowercase + string.digits
_CSR = "certificatesigningrequests.v1.certificates.k8s.io"


class CredentialsIssued:
    """Each host has a kubeconfig with a bootstrap token, and one for kube-proxy, ready in the private directory."""

    title = "Issue credentials"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        minutes = int(TOKEN_LIFE.total_seconds() // 60)
        return [
            f"make a bootstrap token for this host alone, {minutes} minutes at most, deleted after the join",
            "have the cluster sign a client certificate for its kube-proxy",
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Create tokens and requests in one call, approve the requests, wait for the certificates."""
        for host in hosts:
            # One of an earlier run that did not come so far is of no use to this one.
            drop_token(world, host.name)
        keys = {host.name: new_key() for host in hosts}
        tokens = {host.name: (_random(6), _random(16)) for host in hosts}
        requests = {host.name: f"scaler-{world.run}-kube-proxy-{host.name}-{_random(5)}" for host in hosts}
        objects = [_token(world, *tokens[name]) for name in keys]
        objects += [_request(requests[name], request(key, Subject("system:kube-proxy"))) for name, key in keys.items()]
        world.tokens.update({name: token[0] for name, token in tokens.items()})
        # Not their secrets; a rollback deletes them before they end.
        world.note({"tokens": {name: token[0] for name, token in tokens.items()}})
        with Threads(1) as pool:
            bound = pool.submit(world.kube.create, [binding()], apply=True)
            world.kube.create(objects)
            world.kube.call(["certificate", "approve", *requests.values()])
            bound.result()
        signed = self._signed(world, requests)
        world.kube.delete(_CSR, requests.values())
        about = read(world.cluster.settings.admin_kubeconfig)
        common = {"cluster_name": world.cluster.name, "ca": about.ca_data}
        for host in hosts:
            name, private = host.name, keys[host.name]
            endpoint = world.cluster.settings.endpoint_for(host, master=world.is_master(host))
            api = f"https://{endpoint}"
            directory = world.secrets(name)
            write_atomically(directory / "ca.crt", base64.b64decode(about.ca_data), mode=0o600)
            bootstrap = render(
                "kubeconfig.j2", server=api, user="kubelet-bootstrap", token=".".join(tokens[name]), **common
            )
            proxy = render(
                "kubeconfig.j2",
                server=api,
                user="kube-proxy",
                token="",
                certificate=signed[name],
                key=base64.b64encode(pem(private)).decode(),
                **common,
            )
            write_atomically(directory / "kubelet-bootstrap.kubeconfig", bootstrap.encode(), mode=0o600)
            write_atomically(directory / "kube-proxy.kubeconfig", proxy.encode(), mode=0o600)
        return {}

    def _signed(self, world: World, requests: dict[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}

        def all_signed() -> bool:
            told = [Csr.model_validate(csr) for csr in world.kube.get(_CSR, requests.values())]
            by_name = {csr.metadata.name: csr.status.certificate for csr in told if csr.status.certificate}
            found.update({host: by_name[name] for host, name in requests.items() if name in by_name})
            return len(found) == len(requests)

        if not wait_until(world.clock, all_signed, timeout=SIGN_SECONDS, every=0.05):
            raise StepError(
                f"the cluster did not sign kube-proxy's certificate in {SIGN_SECONDS:g} s",
                hint="the controller manager needs --cluster-signing-cert-file and --cluster-signing-key-file",
            )
        return found

    def undo(self, world: World, host: Host) -> None:
        """Delete the token."""
        drop_token(world, host.name)


def drop_token(world: World, host: str) -> None:
    """Delete the bootstrap token of ``host``, if there is one."""
    if host in world.tokens:
        world.kube.delete("secrets", [f"bootstrap-token-{world.tokens[host]}"], namespace="kube-system")


def binding() -> dict[str, Any]:
    """Return the binding that lets scaler's tokens ask for a kubelet's certificate, and nothing else."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": BINDING},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:node-bootstrapper",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": GROUP}],
    }


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def _token(world: World, identity: str, secret: str) -> dict[str, Any]:
    ends = world.clock.now() + TOKEN_LIFE
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": f"bootstrap-token-{identity}", "namespace": "kube-system"},
        "stringData": {
            "token-id": identity,
            "token-secret": secret,
            "expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": GROUP,
            "description": f"scaler run {world.run}",
        },
    }


def _request(name: str, pem_request: bytes) -> dict[str, Any]:
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(pem_request).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["digital signature", "client auth"],
        },
    }


STEP = CredentialsIssued()
