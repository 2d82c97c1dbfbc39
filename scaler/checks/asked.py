"""Run a script of this package on a host, by the host's own Python, and read what it tells."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from scaler.errors import ScalerError
from scaler.model.base import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.gateways.ssh import Ssh
    from scaler.model.inventory import Host

T = TypeVar("T", bound=Value)


def script(name: str) -> str:
    """Return the text of the script ``name``."""
    return files("scaler.checks").joinpath(name).read_text(encoding="utf-8")


def told(
    ssh: Ssh,
    host: Host,
    words: Sequence[str],
    model: type[T],
    *,
    failed: str,
    nonsense: str,
    stdin: str = "",
    timeout: float = 60,
) -> T:
    """Run the host's Python with ``words`` and return what it tells.

    Raises ScalerError: ``failed`` where it does not run, ``nonsense`` where it tells something else.
    """
    said = ssh.run(host, [host.connection.python, *words], stdin=stdin, timeout=timeout)
    if said.status != 0:
        why = (said.err.strip().splitlines() or ["no output"])[-1]
        raise ScalerError(f"{host.name}: {failed}: {why}")
    try:
        return model.model_validate_json(said.out)
    except ValidationError as e:
        raise ScalerError(f"{host.name}: {nonsense}: {e.errors(include_url=False)[0]['msg']}") from e
