"""A host's disk: one sparse ext4 image, so that a full disk is full inside only, over the shared base."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from scaler.lab.tools import do, wait_until

# Directories of the host that lie on the disk itself: overlayfs does not go on overlayfs, and etcd wants a real one.
REAL = {"containerd": "/var/lib/containerd", "kubelet": "/var/lib/kubelet", "etcd": "/var/lib/etcd"}


@dataclass(frozen=True)
class Disk:
    """The disk of one host, in a directory of its own."""

    directory: Path
    size: int
    base: Path

    @property
    def image(self) -> Path:
        """The file that holds everything the host ever wrote."""
        return self.directory / "disk.img"

    @property
    def mount(self) -> Path:
        """Where the image is mounted."""
        return self.directory / "disk"

    @property
    def root(self) -> Path:
        """The host's root directory: the base below, the disk above."""
        return self.directory / "root"

    @property
    def _seeded(self) -> Path:
        return self.mount / "seeded"

    def ensure(self) -> bool:
        """Mount the disk, made anew unless it was made to the end; tells whether it is a new one, to be seeded."""
        for directory in (self.mount, self.root):
            directory.mkdir(parents=True, exist_ok=True)
        if not self.image.exists():
            self._format()
        if not os.path.ismount(self.mount):
            self._attach()
        new = not self._seeded.exists()
        if new:
            for name in ("upper", "work", *REAL):
                (self.mount / name).mkdir(exist_ok=True)
        if not os.path.ismount(self.root):
            layers = f"lowerdir={self.base},upperdir={self.mount / 'upper'},workdir={self.mount / 'work'}"
            do(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.root)])
        return new

    def seeded(self) -> None:
        """Note that the host's own files are all on it."""
        self._seeded.touch()

    def wipe(self) -> None:
        """Throw everything away; a new image is quicker than removing what is in the old one."""
        self.detach()
        self.image.unlink(missing_ok=True)

    def detach(self) -> None:
        """Unmount it; the loop device goes with the last mount."""
        unmount_below(self.directory)
        wait_until(lambda: not loops_on(self.directory), f"the loop device of {self.image} is freed", timeout=60)

    def fill(self, leave: int) -> None:
        """Leave ``leave`` bytes; the space is claimed, not written, so the machine's disk stays as it is."""
        filler = os.open(self.mount / "fill", os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            piece = self.size
            # The claim's own bookkeeping takes some blocks, so the last ones are taken in ever smaller pieces.
            while piece >= os.statvfs(self.mount).f_bsize:
                end, free = os.fstat(filler).st_size, self.free() - leave
                if free < piece:
                    piece //= 2
                    continue
                try:
                    os.posix_fallocate(filler, end, piece)
                except OSError:
                    piece //= 2
        finally:
            os.close(filler)

    def unfill(self) -> None:
        """Give back what ``fill`` took."""
        (self.mount / "fill").unlink(missing_ok=True)

    def free(self) -> int:
        """Bytes the host can still write."""
        stat = os.statvfs(self.mount)
        return stat.f_bavail * stat.f_bsize

    def _format(self) -> None:
        new = self.image.with_suffix(".new")
        new.unlink(missing_ok=True)
        with new.open("xb") as image:
            image.truncate(self.size)
        # No journal: the disk of a host that is thrown away need not survive the machine's own power failure.
        features = ["-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard"]
        do(["mkfs.ext4", "-q", "-F", *features, str(new)])
        new.replace(self.image)

    def _attach(self) -> None:
        do(["e2fsck", "-p", str(self.image)], timeout=300, check=False)
        do(
            ["mount", "-o", "loop,noatime,noinit_itable,nobarrier", str(self.image), str(self.mount)],
            hint="the lab needs loop devices and ext4 on this machine (modprobe loop)",
        )


def mounts_below(directory: Path) -> list[Path]:
    """Find every mount point in ``directory`` or on it, those on top first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split()[4])
        if Path(point).is_relative_to(directory):
            points.append(Path(point))
    return points[::-1]


def share(directory: Path) -> None:
    """Make ``directory`` a mount of its own whose changes reach every host.

    A host inherits the mounts of those that were made before it. Where this machine's own root is private, as it is
    without systemd, it would hold on to another host's disk for as long as it runs.
    """
    if directory not in mounts_below(directory):
        do(["mount", "--bind", str(directory), str(directory)])
    do(["mount", "--make-shared", str(directory)])


def unmount_below(directory: Path) -> None:
    """Unmount everything in ``directory``; it may be busy for an instant after its processes died."""

    def clean() -> bool:
        for point in mounts_below(directory):
            do(["umount", str(point)], check=False)
        return not mounts_below(directory)

    wait_until(clean, f"{directory} is unmounted", timeout=60)


def loops_on(directory: Path) -> list[str]:
    """Find the loop devices whose image lies in ``directory``."""
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        # It may be freed while it is being read.
        with contextlib.suppress(OSError):
            if Path(backing.read_text().strip().removesuffix(" (deleted)")).is_relative_to(directory):
                found.append(backing.parts[3])
    return found
