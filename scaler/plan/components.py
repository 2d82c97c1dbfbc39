"""Texts of a host, or of a file alone, become components with settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scaler.model.components import Component, Place, Setting, Text
from scaler.model.version_facts import facts
from scaler.plan import config_files, units
from scaler.plan.units import Word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scaler.model.components import ConfigFile

NAMES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "etcd",
    "containerd",
)


def of_unit(
    name: str,
    unit: Sequence[Text],
    *,
    environment: Mapping[str, str],
    configs: Mapping[str, str],
    argv: Sequence[str] = (),
    version: str = "",
    running: str = "",
) -> Component:
    """Return the component as its ``unit`` starts it; one without a unit as its process was started."""
    started = units.started(unit, environment)
    words = started.words
    if words:
        place = Place(file=words[0].place.file, line=words[0].place.line)
    else:
        place = Place(file=unit[0].path if unit else f"the running {name}")
        words = tuple(Word(word, place) for word in argv)
    found = units.flags(units.program(words)[1], single_dash=name == "etcd")
    variables = [
        Setting(name=key[5:].lower().replace("_", "-"), value=word.text, source="variable", place=word.place)
        for key, word in started.environment.items()
        if name == "etcd" and key.startswith("ETCD_")
    ]
    named = {flag.value for flag in found if flag.name in {"config", "config-file"}}
    paths = [path for path in configs if path in named or (name == "containerd" and not named)]
    return Component(
        name=name,
        version=version,
        running=running,
        place=place,
        flags=(*found, *variables),
        files=tuple(_config(name, path, configs[path]) for path in paths),
    )


def of_file(file: Text, name: str = "") -> Component | None:
    """Return the component that a file alone is about: a unit, flags in a file for the environment, a configuration.

    None where the file does not say whose it is, and nobody does.
    """
    if re.search(r"^\s*\[(Service|Unit)\]", file.text, re.MULTILINE):
        started = units.started([file], {})
        path, _ = units.program(started.words)
        name = name or _known(path.rpartition("/")[2])
        return of_unit(name, [file], environment={}, configs={}) if name else None
    if name == "containerd" or (not name and re.search(r"io\.containerd\.", file.text)):
        return of_unit("containerd", [file], environment={}, configs={file.path: file.text})
    config = config_files.read_yaml(file.path, file.text)
    if config.kind or (name and not re.search(r"(^|[\s\"'])--\w", file.text)):
        name = name or next((k.component for kind, k in facts().kinds.items() if kind == config.kind), "")
        return Component(name=name, place=config.place, files=(config,)) if name else None
    if not name:
        return None
    lines = enumerate(file.text.splitlines(), 1)
    words = [
        Word(word, Place(file=file.path, line=number))
        for number, line in lines
        if not line.lstrip().startswith("#")
        for word in re.findall(r"--[^\s\"'\\]+", line)
    ]
    return Component(name=name, place=Place(file=file.path), flags=units.flags(words, single_dash=name == "etcd"))


def _known(name: str) -> str:
    return name if name in NAMES else ""


def _config(name: str, path: str, text: str) -> ConfigFile:
    return config_files.read_containerd(path, text) if name == "containerd" else config_files.read_yaml(path, text)
