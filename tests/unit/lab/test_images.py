from __future__ import annotations

import hashlib
import io
import json
import tarfile

from scaler.lab.images import BUSYBOX_TAG, PAUSE_TAG, Entry, busybox_layer, docker_archive, tarred

PAUSE = [Entry("pause", data=b"a program")]


def opened(data: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(data))


def read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def test_equal_entries_are_equal_bytes_in_any_order() -> None:
    entries = [Entry("bin"), Entry("bin/sh", target="busybox"), Entry("bin/busybox", data=b"x")]
    assert tarred(entries) == tarred(entries[::-1])


def test_no_member_tells_when_or_by_whom_it_was_written() -> None:
    for member in opened(docker_archive(PAUSE_TAG, PAUSE, ["/pause"], "amd64")).getmembers():
        assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")


def test_the_manifest_names_the_tag_the_config_and_the_layer() -> None:
    tar = opened(docker_archive(PAUSE_TAG, PAUSE, ["/pause"], "arm64"))
    (manifest,) = json.loads(read(tar, "manifest.json"))
    assert manifest["RepoTags"] == ["scaler.local/lab/pause:1"]
    config = read(tar, manifest["Config"])
    assert manifest["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
    (layer,) = manifest["Layers"]
    told = json.loads(config)
    assert told["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(read(tar, layer)).hexdigest()}"]
    assert (told["architecture"], told["os"], told["config"]["Cmd"]) == ("arm64", "linux", ["/pause"])


def test_a_program_in_an_image_can_be_executed() -> None:
    layer = opened(tarred(PAUSE))
    assert layer.getmember("pause").mode == 0o755
    assert read(layer, "pause") == b"a program"


def test_busybox_has_its_applets_as_links_and_the_scripts_as_files() -> None:
    layer = opened(tarred(busybox_layer(b"busybox", ["busybox", "sh", "nc"])))
    assert layer.getmember("bin/sh").linkname == "busybox"
    assert layer.getmember("bin/busybox").isfile()
    for script in ("get", "serve", "answer"):
        assert layer.getmember(f"bin/{script}").mode == 0o755
        assert read(layer, f"bin/{script}").startswith(b"#!/bin/sh\n")
    assert layer.getmember("tmp").mode == 0o1777


def test_the_images_cannot_be_taken_for_those_of_a_registry() -> None:
    assert BUSYBOX_TAG.startswith("scaler.local/")
    assert PAUSE_TAG.startswith("scaler.local/")
