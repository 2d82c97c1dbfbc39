"""What autoscalers of each generation know: which messages, and which options they have a field for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tests.clients.externalgrpc_wire import MESSAGES


class Generation(Enum):
    """Which fields an autoscaler sends and reads."""

    OLDEST = "before 1.28"
    OLD = "before 1.34"
    BOTH = "1.34"
    GAP = "1.35 and 1.36"
    NEW = "later"

    @property
    def writes_kubernetes(self) -> bool:
        """Tell whether it knows the messages that are Kubernetes' own."""
        return self not in {Generation.GAP, Generation.NEW}

    @property
    def writes_plain(self) -> bool:
        """Tell whether it knows those of Protocol Buffers, and bytes."""
        return self not in {Generation.OLDEST, Generation.OLD}


class WouldCrashError(AssertionError):
    """An autoscaler of this generation dereferences what is not there, and dies."""


@dataclass(frozen=True)
class Options:
    """How the autoscaler treats a group; durations in seconds."""

    utilization: float = 0.5
    gpu_utilization: float = 0.5
    unneeded: float = 600.0
    unready: float = 1200.0
    provision: float = 900.0
    startup: float = 900.0
    zero_or_max: bool = False
    ignore_daemon_sets: bool = False
    partial: bool = False


NOTHING = Options(0, 0, 0, 0, 0, 0)


def written(generation: Generation, options: Options) -> Any:
    """Return options as one of ``generation`` sends them."""
    told = MESSAGES["NodeGroupAutoscalingOptions"](
        scaleDownUtilizationThreshold=options.utilization,
        scaleDownGpuUtilizationThreshold=options.gpu_utilization,
    )
    for name in _DURATIONS.keys() - _lacked(generation):
        old, new = _DURATIONS[name]
        nanoseconds = round(getattr(options, name) * 10**9)
        if old and generation.writes_kubernetes:
            getattr(told, old).duration = nanoseconds
        if generation.writes_plain:
            getattr(told, new).FromNanoseconds(nanoseconds)
    for name in _SWITCHES.keys() - _lacked(generation):
        setattr(told, _SWITCHES[name], getattr(options, name))
    return told


def read(generation: Generation, answer: Any) -> Options | None:
    """Return what one of ``generation`` makes of an answer; None where it has no options: then the defaults hold."""
    if not answer.HasField("nodeGroupAutoscalingOptions"):
        return None
    told, lacked = answer.nodeGroupAutoscalingOptions, _lacked(generation)
    found: dict[str, Any] = {name: _duration(generation, told, name) for name in _DURATIONS.keys() - lacked}
    found |= {name: bool(getattr(told, _SWITCHES[name])) for name in _SWITCHES.keys() - lacked}
    return dataclasses.replace(
        NOTHING,
        utilization=told.scaleDownUtilizationThreshold,
        gpu_utilization=told.scaleDownGpuUtilizationThreshold,
        **found,
    )


def _lacked(generation: Generation) -> set[str]:
    """Return the options without a field; from a provider that tells options nothing is taken for them."""
    return _LACKS.get(generation, set())


def _duration(generation: Generation, told: Any, name: str) -> float:
    old, new = _DURATIONS[name]
    if generation.writes_plain and told.HasField(new):
        return float(getattr(told, new).ToNanoseconds() / 10**9)
    if not (old and generation.writes_kubernetes):
        return 0.0
    if not told.HasField(old):
        raise WouldCrashError(f"{old} is missing")
    return float(getattr(told, old).duration / 10**9)


_DURATIONS = {
    "unneeded": ("scaleDownUnneededTime", "scaleDownUnneededDuration"),
    "unready": ("scaleDownUnreadyTime", "scaleDownUnreadyDuration"),
    "provision": ("MaxNodeProvisionTime", "MaxNodeProvisionDuration"),
    "startup": ("", "maxNodeStartupDuration"),
}
_SWITCHES = {
    "zero_or_max": "zeroOrMaxNodeScaling",
    "ignore_daemon_sets": "ignoreDaemonSetsUtilization",
    "partial": "allowNonAtomicScaleUpToMax",
}
_LACKS = {
    Generation.OLDEST: {"provision", "startup", *_SWITCHES},
    Generation.OLD: {"startup", *_SWITCHES},
    Generation.BOTH: {"startup", "partial"},
    Generation.GAP: {"startup", "partial"},
}
