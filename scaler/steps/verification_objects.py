"""The objects a verification makes: a namespace, what is there once, and a pod pinned to each node."""

from __future__ import annotations

from typing import Any

from scaler.checks.join import BODY_BYTES, PORT
from scaler.checks.parts import APP, CONFIG, LOG_LINE, SECRET

VERIFIED = "app=scaler-verify"
HOLDER_ANNOTATION = "scaler/verified-by"


def verification_namespace(run: str) -> str:
    """Return the namespace that ``run`` verifies in."""
    return f"scaler-verify-{run}"


def space(namespace: str, holder: str = "") -> dict[str, Any]:
    """Return the namespace, with who verifies in it."""
    # Where the cluster sorts pods into levels of trust, a pod on the host's network is one that has to be allowed.
    labels = {**APP, "pod-security.kubernetes.io/enforce": "privileged"}
    metadata = {"name": namespace, "labels": labels}
    if holder:
        metadata["annotations"] = {HOLDER_ANNOTATION: holder}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def service(namespace: str, name: str = "verify", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """Return a Service behind which the main pods of all nodes are."""
    spec = {"selector": {**APP, "part": "main"}, "ports": [{"port": PORT, "targetPort": PORT}], **more}
    return _named("Service", namespace, name, spec=spec)


def once(namespace: str, domain: str, *, balanced: bool) -> list[dict[str, Any]]:
    """Return what a full verification has once: its Services, and what its volumes hold."""
    elsewhere = {"type": "ExternalName", "externalName": f"verify.{namespace}.svc.{domain}"}
    return [
        service(namespace),
        service(namespace, "affine", sessionAffinity="ClientIP"),
        service(namespace, "headless", clusterIP="None"),
        _named("Service", namespace, "elsewhere", spec=elsewhere),
        *([service(namespace, "balanced", type="LoadBalancer")] if balanced else []),
        _named("ConfigMap", namespace, "verify", data={"told": f"{CONFIG}\n"}),
        _named("Secret", namespace, "verify", stringData={"told": f"{SECRET}\n"}),
    ]


def quick_pod(namespace: str, node: str, image: str) -> dict[str, Any]:
    """Return the one pod by which a join is proven: put on the node, past the scheduler, since it is cordoned."""
    serve = (
        f"mkdir -p /tmp/www && head -c {BODY_BYTES} /dev/zero > /tmp/www/body && echo {LOG_LINE} "
        f"&& exec httpd -f -p {PORT} -h /tmp/www"
    )
    container = {
        "name": "verify",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", serve],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "64Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"on-{node}", "namespace": namespace, "labels": {**APP, "part": "main"}},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
        },
    }


def _named(kind: str, namespace: str, name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    metadata = {"name": name, "namespace": namespace, "labels": APP}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **more}
