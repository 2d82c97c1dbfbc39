"""Fill the lab's store with all that its hosts run: Kubernetes, etcd, containerd, runc, CNI plugins, images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock

from scaler.errors import LabError
from scaler.gateways.process import ProcessError, run
from scaler.lab import images, kubernetes_build
from scaler.lab.apt import RELEASE, Apt, private_apt, upstream
from scaler.lab.leaf import newest, publish

if TYPE_CHECKING:
    from collections.abc import Callable


class Packaged(NamedTuple):
    """A component whose files come out of the release's binary packages: path in the package by package."""

    name: str
    files: dict[str, tuple[str, ...]]

    @property
    def names(self) -> list[str]:
        """The names its files have in the store."""
        return [Path(file).name for files in self.files.values() for file in files]


# Of the CNI plugins dhcp alone is left out: three times as big as any other, and it needs a daemon.
CNI = (
    *("bandwidth", "bridge", "firewall", "host-device", "host-local", "ipvlan", "loopback", "macvlan"),
    *("portmap", "ptp", "sbr", "static", "tuning", "vlan", "vrf"),
)
PACKAGED = (
    Packaged("etcd", {"etcd-server": ("usr/bin/etcd",), "etcd-client": ("usr/bin/etcdctl",)}),
    Packaged(
        "containerd",
        {"containerd": ("usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/bin/ctr")},
    ),
    Packaged("runc", {"runc": ("usr/sbin/runc",)}),
    Packaged("cni-plugins", {"containernetworking-plugins": tuple(f"usr/lib/cni/{name}" for name in CNI)}),
)
IMAGES_VERSION = "v1"  # to be raised with every change of the images' content
ARCHITECTURES = ("amd64", "arm64")
IMAGES = ("busybox.tar", "pause.tar")


def component_files() -> dict[str, list[str]]:
    """Tell for each component the files a complete leaf of it has."""
    packaged = {component.name: component.names for component in PACKAGED}
    return packaged | {"images": list(IMAGES), "kubernetes": list(kubernetes_build.BINARIES)}


def present(store: Path, architecture: str) -> dict[str, str]:
    """Tell the newest complete version of each component that the store has."""
    found = {name: newest(store / name, architecture, files) for name, files in component_files().items()}
    return {name: version for name, version in found.items() if version is not None}


def put(source: Path, directory: Path) -> None:
    """Copy a program into a directory, executable by everybody."""
    shutil.copyfile(source, directory / source.name)
    (directory / source.name).chmod(0o755)


def fill_packaged(store: Path, apt: Apt, component: Packaged, scratch: Path, architecture: str) -> None:
    """Fill a component out of binary packages, under the version they all have."""
    unpacked = scratch / component.name
    versions = {upstream(apt.unpack(package, unpacked)) for package in component.files}
    if len(versions) != 1:
        raise LabError(f"the packages of {component.name} are of different versions: {', '.join(sorted(versions))}")
    with publish(store / component.name / versions.pop() / f"linux-{architecture}") as leaf:
        for files in component.files.values():
            for file in files:
                put(unpacked / file, leaf)


def fill_images(store: Path, apt: Apt, scratch: Path, architecture: str) -> None:
    """Fill the images."""
    apt.unpack("busybox-static", scratch / "busybox")
    with publish(store / "images" / IMAGES_VERSION / f"linux-{architecture}") as leaf:
        busybox = scratch / "busybox" / "bin" / "busybox"
        images.write_busybox(leaf / "busybox.tar", busybox=busybox, architecture=architecture)
        images.write_pause(leaf / "pause.tar", scratch=scratch, architecture=architecture)


def fill_kubernetes(store: Path, apt: Apt, cache: Path, architecture: str, *, progress: Callable[[str], None]) -> None:
    """Fill Kubernetes by a build."""
    built = kubernetes_build.build(apt, cache, progress=progress)
    with publish(store / "kubernetes" / built.version / f"linux-{architecture}") as leaf:
        for name in kubernetes_build.BINARIES:
            put(built.directory / name, leaf)


def architecture_here() -> str:
    """Return this machine's architecture, in the one spelling Debian, Go and Kubernetes share."""
    try:
        found = run(["dpkg", "--print-architecture"]).out.strip()
    except ProcessError as e:
        raise LabError(
            "this machine has no dpkg: the lab's binaries are made of Debian's packages", hint=f"use a Debian {RELEASE}"
        ) from e
    if found not in ARCHITECTURES:
        raise LabError(f"the lab is made for {' and '.join(ARCHITECTURES)}, this machine is {found}")
    return found


def fill_missing(store: Path, cache: Path, architecture: str, *, progress: Callable[[str], None]) -> None:
    """Fill what the store does not have, the quick things first."""
    missing = component_files().keys() - present(store, architecture).keys()
    if not missing:
        return
    scratch = cache / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    scratch.mkdir()
    try:
        with private_apt(scratch) as apt:
            for component in PACKAGED:
                if component.name in missing:
                    progress(f"{component.name}: out of Debian's packages")
                    fill_packaged(store, apt, component, scratch, architecture)
            if "images" in missing:
                progress("images: busybox and pause")
                fill_images(store, apt, scratch, architecture)
            if "kubernetes" in missing:
                fill_kubernetes(store, apt, cache, architecture, progress=progress)
    except ProcessError as e:
        raise LabError(e.message, hint="what is done stays done: run it again when the cause is gone") from e
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def fill(store: Path, *, progress: Callable[[str], None]) -> dict[str, str]:
    """Put what is missing into the store and return the version of each component; the cache is beside the store."""
    architecture = architecture_here()
    if present(store, architecture).keys() != component_files().keys():
        cache = store.absolute().parent / "build"  # Go wants absolute paths
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "lock"):  # another run may fill it meanwhile
            fill_missing(store, cache, architecture, progress=progress)
    return present(store, architecture)
