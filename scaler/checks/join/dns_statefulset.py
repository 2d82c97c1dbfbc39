"""The name of a StatefulSet's pod is told as its address."""

from scaler.checks.join import NO_DNS, Absent, Look, Scene, resolves


def _look(scene: Scene) -> str | Absent:
    if not scene.target.facts.dns:
        return NO_DNS
    number, facts = scene.target.number, scene.target.facts
    name = f"ordered-{number}-1"
    if why := scene.ready(name):
        return why
    address = (scene.pod(name) or {})["status"]["podIP"]
    full = f"{name}.ordered-{number}.{facts.namespace}.svc.{facts.domain}"
    return scene.run("main", f"({resolves(full, address)}) || true").strip()


CHECK = Look("dns-statefulset", "dns", _look, needs=("main", "ordered"))
