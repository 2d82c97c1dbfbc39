"""The configuration files of the components as settings with the lines they stand in: YAML, and containerd's TOML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from scaler.model.components import ConfigFile, Place, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TABLE = re.compile(r"^\s*\[([^\[\]]+)\]")
_KEY = re.compile(r"^\s*([\w.-]+|\"[^\"]+\"|'[^']+')\s*=\s*(.*?)\s*$")


def read_yaml(path: str, text: str) -> ConfigFile:
    """Return the fields of a YAML or JSON file; one that cannot be read says why in ``wrong``."""
    place = Place(file=path)
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as e:
        line = e.problem_mark.line + 1 if e.problem_mark else 0
        return ConfigFile(place=Place(file=path, line=line), wrong=f"is not YAML: {e.problem}")
    except yaml.YAMLError as e:
        return ConfigFile(place=place, wrong=f"is not YAML: {e}")
    if not isinstance(root, yaml.MappingNode):
        return ConfigFile(place=place, wrong="has no fields")
    fields = tuple(_fields(path, root))
    told = {field.name: field for field in fields}
    api, kind = told.get("apiVersion"), told.get("kind")
    group = api.value.rpartition("/")[0] if api else ""
    return ConfigFile(
        place=place,
        kind=kind.value if kind else "",
        group=group,
        api=api.model_copy(update={"value": api.value.rpartition("/")[2]}) if api else None,
        fields=tuple(field for field in fields if field.name not in {"apiVersion", "kind"}),
    )


def _fields(path: str, node: yaml.MappingNode, above: str = "") -> Iterator[Setting]:
    for key, value in node.value:
        name = f"{above}{key.value}"
        place = Place(file=path, line=key.start_mark.line + 1)
        text = ""
        if isinstance(value, yaml.ScalarNode):
            text = str(value.value)
        elif isinstance(value, yaml.SequenceNode):
            text = ",".join(str(each.value) for each in value.value if isinstance(each, yaml.ScalarNode))
        yield Setting(name=name, value=text, source="field", place=place)
        if isinstance(value, yaml.MappingNode):
            yield from _fields(path, value, f"{name}.")


def read_containerd(path: str, text: str) -> ConfigFile:
    """Return the settings of containerd's file by the end of their names, like ``cni.bin_dir``.

    Tables are told whole as fields too, so that a check finds a plugin by its name.
    """
    fields, table = [], ""
    for number, line in enumerate(text.splitlines(), 1):
        place = Place(file=path, line=number)
        if line.lstrip().startswith("#"):
            continue
        if found := _TABLE.match(line):
            table = found[1].strip()
            fields.append(Setting(name=table.replace('"', "").replace("'", ""), source="field", place=place))
        elif found := _KEY.match(line):
            name = found[1].strip("\"'")
            value = found[2].partition(" #")[0].strip().strip("\"'")
            plugin = re.split(r"\.(?=[^\"']*$)", table)[-1] if table else ""
            fields.append(
                Setting(name=f"{plugin}.{name}" if plugin else name, value=value, source="field", place=place)
            )
    return ConfigFile(place=Place(file=path), kind="containerd", fields=tuple(fields))
