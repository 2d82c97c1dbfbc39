"""The lab's two container images, written without an engine: docker-archive tars whose bytes never vary."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scaler.gateways.process import run
from scaler.lab import go

if TYPE_CHECKING:
    from collections.abc import Sequence

BUSYBOX_TAG = "scaler.local/lab/busybox:1"
PAUSE_TAG = "scaler.local/lab/pause:1"
PARTS = Path(__file__).parent / "image_parts"
SCRIPTS = ("answer", "get", "serve")

DIRECTORIES = ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "var")
ETC = {
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
}


class Entry(NamedTuple):
    """One member of an image's layer: a file, a symlink (``target``) or, with neither, a directory."""

    name: str
    mode: int = 0o755
    data: bytes | None = None
    target: str = ""


def tarred(entries: Sequence[Entry]) -> bytes:
    """Write entries as a tar: sorted, owned by root, dated 1970, so that equal entries are equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for entry in sorted(entries):
            info = tarfile.TarInfo(entry.name)
            info.mode = entry.mode
            if entry.target:
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
            elif entry.data is None:
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(entry.data)
            tar.addfile(info, io.BytesIO(entry.data or b""))
    return buffer.getvalue()


def docker_archive(tag: str, layer: Sequence[Entry], command: Sequence[str], architecture: str) -> bytes:
    """Write an image of one layer as ``docker save`` does, for ``ctr images import``."""
    rootfs = tarred(layer)
    layer_digest = hashlib.sha256(rootfs).hexdigest()
    config = json.dumps(
        {
            "architecture": architecture,
            "config": {"Cmd": list(command), "Env": ["PATH=/bin"]},
            "created": "1970-01-01T00:00:00Z",
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "scaler lab"}],
            "os": "linux",
            "rootfs": {"diff_ids": [f"sha256:{layer_digest}"], "type": "layers"},
        },
        sort_keys=True,
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{layer_digest}/layer.tar"
    manifest = json.dumps([{"Config": config_name, "Layers": [layer_name], "RepoTags": [tag]}], sort_keys=True)
    return tarred(
        [
            Entry(config_name, 0o644, config),
            Entry(layer_digest),
            Entry(layer_name, 0o644, rootfs),
            Entry("manifest.json", 0o644, manifest.encode()),
        ]
    )


def busybox_layer(busybox: bytes, applets: Sequence[str]) -> list[Entry]:
    """Lay out busybox with its applets as symlinks, and the lab's scripts: get, serve and its answer."""
    links = [Entry(f"bin/{name}", target="busybox") for name in applets if name not in {"busybox", *SCRIPTS}]
    return [
        *(Entry(name) for name in DIRECTORIES),
        *(Entry(name, 0o644, data) for name, data in ETC.items()),
        Entry("tmp", 0o1777),
        Entry("bin/busybox", data=busybox),
        *links,
        *(Entry(f"bin/{name}", data=(PARTS / f"{name}.sh").read_bytes()) for name in SCRIPTS),
    ]


def write_busybox(path: Path, *, busybox: Path, architecture: str) -> None:
    """Write the busybox image around a static busybox binary, which is asked for its applets."""
    applets = run([str(busybox), "--list"]).out.split()
    layer = busybox_layer(busybox.read_bytes(), applets)
    path.write_bytes(docker_archive(BUSYBOX_TAG, layer, ["/bin/sh"], architecture))


def write_pause(path: Path, *, scratch: Path, architecture: str) -> None:
    """Write the pause image around a small static program, built in ``scratch``."""
    program = scratch / "pause"
    flags = ["-ldflags", "-s -w -buildid=", "-o", str(program), "pause.go"]
    go.build(flags, lambda _: None, env=go.environment(gopath=scratch / "gopath", cache=scratch / "gocache"), cwd=PARTS)
    layer = [Entry("pause", data=program.read_bytes())]
    path.write_bytes(docker_archive(PAUSE_TAG, layer, ["/pause"], architecture))
