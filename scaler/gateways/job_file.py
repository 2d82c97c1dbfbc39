"""Read ``jobs.yaml``, which lies beside an inventory; every mistake is told with its line and path."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from scaler.errors import InputError
from scaler.model import job_actions, job_targets, jobs
from scaler.model.clouds import BINARY
from scaler.model.jobs import Jobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic_core import ErrorDetails

FILE = "jobs.yaml"


def read(directory: Path, cluster: str, kind: str = BINARY) -> Jobs:
    """Read the jobs of ``cluster``, whose inventory is in ``directory``; raises InputError with every mistake.

    A job that no cluster of this ``kind`` can ever do is one.
    """
    path = directory / FILE
    try:
        tree = YAML(pure=True).load(path.read_bytes())
        plain = YAML(typ="safe", pure=True).load(path.read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"cluster {cluster} has no jobs: there is no {path}",
            hint="inventories/example/jobs.yaml shows what goes in",
        ) from None
    except OSError as e:
        raise InputError(f"{path} cannot be read: {e.strerror}") from e
    except YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        raise InputError(f"{path}{f':{mark.line + 1}' if mark else ''}: {getattr(e, 'problem', None) or e}") from e
    if not isinstance(plain, dict):
        raise InputError(f"{path}: is not a map with jobs", hint="inventories/example/jobs.yaml shows what goes in")
    try:
        found = Jobs.model_validate(plain, context={"kind": kind})
    except ValidationError as e:
        findings = e.errors(include_url=False)
        lines = [_told(path, tree, finding) for finding in findings]
        raise InputError("\n".join(dict.fromkeys(lines)), hint=_meant(findings)) from e
    if found.cluster not in {None, cluster}:
        raise InputError(
            f"{path}: cluster: these are the jobs of {found.cluster}, and the inventory beside them is {cluster}'s",
            hint="a file that was copied is to be read once more; then set its cluster",
        )
    return found


def _told(path: Path, tree: Any, finding: ErrorDetails) -> str:  # noqa: ANN401 - ruamel's trees are untyped
    where, line = _place(tree, finding)
    value, kind = finding["input"], finding["type"]
    message = finding["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        message = "there is no such key"
    elif kind == "missing":
        message = "is missing"
    # What stands in place of a secret may be the secret itself.
    shown = kind not in {"missing", "extra_forbidden"} and not isinstance(value, dict | list)
    given = f" (given: {value!r})" if shown and "secret" not in message else ""
    return f"{path}:{line}: {where}: {message}{given}" if where else f"{path}: {message}{given}"


def _place(tree: Any, finding: ErrorDetails) -> tuple[str, int]:  # noqa: ANN401 - as above
    """Return the path as it stands in the file, without what only the model knows, and its line."""
    node, line, path = tree, 1, ""
    loc = finding["loc"]
    for number, part in enumerate(loc):
        inside = (isinstance(node, dict) and part in node) or (
            isinstance(node, list) and isinstance(part, int) and part < len(node)
        )
        if not inside:
            if finding["type"] == "missing" and number == len(loc) - 1:
                path = f"{path}.{part}" if path else str(part)
            continue
        place = node.lc.data[part] if part in (node.lc.data or {}) else None
        line = place[0] + 1 if place else line
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
        node = node[part]
    return path, line


def _meant(findings: list[ErrorDetails]) -> str:
    """Return what an unknown key or action was probably meant to be."""
    for finding in findings:
        if finding["type"] == "extra_forbidden":
            wrong, known = str(finding["loc"][-1]), sorted(_keys())
        elif finding["type"] == "union_tag_invalid":
            wrong, known = (
                str(finding["ctx"]["tag"]),
                [one.strip("' ") for one in finding["ctx"]["expected_tags"].split(",")],
            )
        else:
            continue
        near = difflib.get_close_matches(wrong, known, n=1)
        if near:
            return f"did you mean {near[0]}?"
    return "docs/reference/jobs.md explains every key"


def _keys() -> Iterator[str]:
    for module in (jobs, job_actions, job_targets):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, BaseModel) and value is not jobs.Named:
                yield from value.model_fields
