"""Read the inventory of a managed cluster: its variables alone, since it has no hosts of ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from scaler.errors import InputError
from scaler.model.base import tell
from scaler.model.cloud_cluster import CloudCluster
from scaler.model.clouds import BINARY, KINDS, MANAGED

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = "group_vars/all.yml"
_KIND = re.compile(r"^kind\s*:", re.MULTILINE)


def read(directory: Path) -> CloudCluster | None:
    """Read the inventory in ``directory``; None where its cluster is of kind ``binary``, the kind of none that is said.

    Raises InputError with every mistake and its path.
    """
    file = directory / VARIABLES
    told = _variables(file)
    kind = told.get("kind", BINARY)
    if kind == BINARY:
        return None
    if kind not in KINDS:
        raise InputError(f"{file}: kind: there is no kind {kind!r}", hint=f"{BINARY}, or one of {', '.join(KINDS)}")
    if (directory / "hosts.yml").exists():
        raise InputError(
            f"{directory}: a cluster of kind {kind} has no hosts.yml: its machines are the cloud's",
            hint="keep the inventories of binary and managed clusters in directories of their own",
        )
    told["admin_kubeconfig"] = str(directory / str(told.get("admin_kubeconfig", "admin.kubeconfig")))
    try:
        return CloudCluster(directory=directory, settings=MANAGED.validate_python(told))
    except ValidationError as e:
        raise tell(str(file), e, names={kind: ""}) from e


def is_one(directory: Path) -> bool:
    """Tell whether ``directory`` has the inventory of a managed cluster."""
    file = directory / VARIABLES
    return file.is_file() and _variables(file).get("kind", BINARY) != BINARY


def _variables(file: Path) -> dict[str, object]:
    # A big file of a binary cluster is not parsed for a line that it has not.
    if not file.is_file() or not _KIND.search(file.read_text(encoding="utf-8", errors="replace")):
        return {}
    try:
        # Round trip, since it takes tags like !vault as they are.
        told = YAML(pure=True).load(file.read_bytes())
    except YAMLError:
        # What is wrong with it is the reader's of binary clusters to tell, with the line.
        return {}
    return {str(key): value for key, value in told.items()} if isinstance(told, dict) else {}
