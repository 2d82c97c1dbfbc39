"""A NetworkPolicy lets in whom it names, and nobody else."""

from __future__ import annotations

from scaler.checks.join import PORT, Absent, Look, Scene, name_of

# A policy engine hears of pods and policies, then writes its rules.
SECONDS = 15.0


def _look(scene: Scene) -> str | Absent:
    if why := scene.ready("guarded") or scene.ready("ready"):
        return why
    name = f"guarded-{scene.target.number}"
    address = (scene.pod("guarded") or {})["status"]["podIP"]
    asked = name_of(address, PORT)

    def let_in() -> bool:
        return scene.run("main", asked).strip() == name

    def kept_out() -> bool:
        return scene.run("ready", asked, "exec").strip() != name

    if not scene.until(let_in, SECONDS):
        return "a pod that a NetworkPolicy lets in is kept out"
    engine = scene.target.facts.policy_engine
    if scene.until(kept_out, SECONDS if engine else 2.0):
        return "" if let_in() else "a pod that a NetworkPolicy lets in is kept out"
    if engine:
        return f"a NetworkPolicy keeps nobody out, though {engine} is there to see to it"
    return Absent("no network here that keeps to NetworkPolicies")


CHECK = Look("network-policy", "policy", _look, needs=("main", "ready", "guarded"))
