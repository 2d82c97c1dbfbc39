"""A pod has processes, network, mounts and a host name of its own, and none of the host's."""

from __future__ import annotations

from scaler.checks.join import Look, Scene

_READ = "for n in pid net mnt uts ipc; do echo $n $(readlink /proc/self/ns/$n); done; echo name $(hostname)"
_FIRST = '; echo first $(tr "\\000" " " < /proc/1/cmdline | cut -c1-5); echo processes $(ls -d /proc/[0-9]* | wc -l)'


def _look(scene: Scene) -> str:
    if why := scene.ready("host"):
        return why
    pod, host = _told(scene.run("main", _READ + _FIRST)), _told(scene.run("host", _READ))
    wanted = f"main-{scene.target.number}"
    if pod.get("first", "") != "sh -c":
        return f"process 1 of the pod is not its own: {pod.get('first')}"
    if pod.get("name") != wanted:
        return f"the pod's host name is {pod.get('name')}, not {wanted}"
    shared = [name for name in ("pid", "net", "mnt", "uts", "ipc") if not pod.get(name) or pod[name] == host.get(name)]
    return f"the pod shares {', '.join(shared)} with the host or with another pod" if shared else ""


def _told(text: str) -> dict[str, str]:
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in text.splitlines()}


CHECK = Look("pod-namespaces", "namespaces", _look, needs=("main", "host"))
