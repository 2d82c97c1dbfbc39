"""The objects a verification makes: a namespace, a Service, and a pod pinned to each node."""

from __future__ import annotations

from typing import Any

from scaler.checks.join import BODY_BYTES, PORT

_LABEL = {"app": "scaler-verify"}


def verification_namespace(run: str) -> str:
    """Return the namespace that ``run`` verifies in."""
    return f"scaler-verify-{run}"


def objects(
    namespace: str, on: list[str], image: str, log_line: str
) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """Return the namespace, the Service called ``verify``, and one pod for each node in ``on``."""
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": _LABEL}}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "verify", "namespace": namespace},
        "spec": {"selector": _LABEL, "ports": [{"port": PORT, "targetPort": PORT}]},
    }
    return space, service, [_pod(namespace, name, image, log_line) for name in on]


def _pod(namespace: str, node: str, image: str, log_line: str) -> dict[str, Any]:
    serve = (
        f"mkdir -p /tmp/www && head -c {BODY_BYTES} /dev/zero > /tmp/www/body && echo {log_line} "
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
        "metadata": {"name": f"on-{node}", "namespace": namespace, "labels": _LABEL},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
        },
    }
