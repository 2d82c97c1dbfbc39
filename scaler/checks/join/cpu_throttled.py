"""A container that wants more of the processor than its limit is throttled."""

from __future__ import annotations

from scaler.checks.join import Look, Scene

SECONDS = 40.0
_READ = "cat /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat /sys/fs/cgroup/cpu,cpuacct/cpu.stat 2>/dev/null; true"


def _look(scene: Scene) -> str:
    def runs() -> bool:
        statuses = (scene.pod("limits") or {}).get("status", {}).get("containerStatuses", ())
        return any(each["name"] == "burner" and "running" in each["state"] for each in statuses)

    if not scene.until(runs, SECONDS):
        return "the container that uses the processor does not run"
    told = ""

    def throttled() -> bool:
        nonlocal told
        told = scene.run("limits", _READ, "burner")
        counts = [line.split()[1] for line in told.splitlines() if line.startswith("nr_throttled ")]
        return any(int(count) > 0 for count in counts)

    if scene.until(throttled, 10):
        return ""
    return (
        f"a container with a limit of 50 thousandths of a CPU that uses all it gets was never held back: {told.split()}"
    )


CHECK = Look("cpu-throttled", "cgroup", _look, needs=("main", "limits"))
