"""There is room for the binaries, and for the pods, on file systems that can be written to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
# Binaries twice over (staged beside the old ones), and below kubelet's own eviction threshold a node is useless.
NEEDED = {
    "/usr/local/bin": 600 * MIB,
    "/etc": 16 * MIB,
    "/var/lib/kubelet": 1024 * MIB,
    "/var/lib/containerd": 1024 * MIB,
    "/var/lib/etcd": 1024 * MIB,
}
_OF_NODES = ("/var/lib/kubelet", "/var/lib/containerd")


def _look(subject: Subject) -> Iterator[Told]:
    idle = {"/var/lib/etcd"} if not subject.has_member else set(_OF_NODES) if subject.becomes == "etcd" else set()
    for space in subject.facts.spaces:
        if space.path in idle:
            continue
        needed = NEEDED.get(space.path, NEEDED["/usr/local/bin"])
        if not space.writable:
            yield Told(f"{space.path} is on a read-only file system", "remount it read-write")
        elif space.free < needed:
            yield Told(
                f"{space.path} has {space.free // MIB} MiB free, {needed // MIB} MiB are needed", "free or add space"
            )


CHECK = Check("disk", _look)
