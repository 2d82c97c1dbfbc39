"""A pod of containers whose liveness and startup probes are made to fail, or to succeed late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaler.checks.parts import Part, Place, container, pod, until_told

if TYPE_CHECKING:
    from collections.abc import Mapping

# A probe's kind, and the port of the container that is probed by it; containers of a pod share their ports.
KINDS = ("exec", "tcp", "http")
_ALIVE_PORTS = {"exec": 0, "tcp": 9001, "http": 9002}
_START_PORTS = {"exec": 0, "tcp": 9003, "http": 9004}
# Longer than a liveness probe that nothing holds back would take to kill.
_LATE_SECONDS = 5
# How a container ends that the kubelet told to end; none of them ends by itself. Events would say it too, but a kubelet
# tells some twenty of one pod and then few.
TOLD_TO_END = 7


def told_to_end(pod: Mapping[str, Any] | None) -> set[str]:
    """Return the containers of a pod that were started again after the kubelet had told them to end."""
    statuses = (pod or {}).get("status", {}).get("containerStatuses", ())
    ended = {each["name"]: each.get("lastState", {}).get("terminated", {}).get("exitCode") for each in statuses}
    return {each["name"] for each in statuses if each["restartCount"] and ended[each["name"]] == TOLD_TO_END}


def handler(kind: str, port: int) -> dict[str, Any]:
    """Return what a probe of this kind asks."""
    handlers: dict[str, dict[str, Any]] = {
        "exec": {"exec": {"command": ["test", "-e", "/tmp/ok"]}},  # noqa: S108 - inside a container
        "tcp": {"tcpSocket": {"port": port}},
        "http": {"httpGet": {"port": port, "path": "/ok"}},
    }
    return handlers[kind]


def begin(kind: str, port: int) -> str:
    """Return a command by which the probe begins to succeed."""
    files = "mkdir -p /tmp/www; touch /tmp/ok /tmp/www/ok"
    return files if kind == "exec" else f"{files}; httpd -f -p {port} -h /tmp/www & p=$!"


def end(kind: str) -> str:
    """Return a command by which the probe begins to fail."""
    return {"exec": "rm /tmp/ok", "tcp": "kill $p", "http": "rm /tmp/www/ok"}[kind]


def _dies(place: Place, kind: str) -> dict[str, Any]:
    port = _ALIVE_PORTS[kind]
    probe = {**handler(kind, port), "initialDelaySeconds": 1, "periodSeconds": 1, "failureThreshold": 2}
    script = until_told(f"{begin(kind, port)}; sleep 3; {end(kind)}", status=TOLD_TO_END)
    return container(place, f"live-{kind}", script, livenessProbe=probe)


def _comes_late(place: Place, kind: str) -> dict[str, Any]:
    port = _START_PORTS[kind]
    asked = handler(kind, port)
    return container(
        place,
        f"start-{kind}",
        until_told(f"sleep {_LATE_SECONDS}; {begin(kind, port)}", status=TOLD_TO_END),
        startupProbe={**asked, "periodSeconds": 1, "failureThreshold": 60},
        # It would kill within a second, were it not held back.
        livenessProbe={**asked, "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 5},
    )


def _objects(place: Place) -> list[dict[str, Any]]:
    never = container(
        place,
        "start-never",
        until_told("true", status=TOLD_TO_END),
        startupProbe={"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2},
    )
    containers = [
        *(_dies(place, kind) for kind in KINDS),
        *(_comes_late(place, kind) for kind in KINDS),
        never,
    ]
    return [pod(place, "probed", containers)]


PART = Part("probed", _objects)
