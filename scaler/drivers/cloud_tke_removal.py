"""The removal of machines of a regular pool of TKE, in as many requests as it takes, and what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scaler.errors import AmbiguousError, CloudError, ScalerError
from scaler.model.pools import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from scaler.drivers.cloud_tke_api import Deleted
    from scaler.model.pools import Instance

# The API's own limit for the machines of one request.
AT_ONCE = 100


class Removal(NamedTuple):
    """The IDs of machines that end or are gone, why others do not, and the IDs of the requests that were answered."""

    going: tuple[str, ...]
    troubles: tuple[Trouble, ...]
    requests: tuple[str, ...]


def removed(instances: Sequence[Instance], send: Callable[[list[str], bool], Deleted]) -> Removal:
    """Let ``send`` end machines by their IDs, with or without force, and return what became of all of them.

    An error is a trouble of the machines of its request: those of an earlier one are ending all the same. What has
    nothing to do with machines (credentials, throttling, a conflict) ends the row, and is a trouble of all that are
    left. Where nothing was begun, the first error is raised; AmbiguousError where nobody knows of a single machine.
    """
    batches = list(_batches(instances))
    going: list[str] = []
    troubles: list[Trouble] = []
    requests: list[str] = []
    errors: list[ScalerError] = []
    for at, (names, force) in enumerate(batches):
        try:
            told = send(names, force)
        except ScalerError as e:
            own = isinstance(e, AmbiguousError) or type(e) is CloudError
            hit = names if own else [name for left, _ in batches[at:] for name in left]
            errors.append(e)
            troubles += [Trouble(what=name, code=_code(e), message=e.message) for name in hit]
            if not own:
                break
            continue
        requests.append(told.request_id)
        going += [name for name in names if name not in told.failed_instance_ids]
        troubles += [
            Trouble(what=name, code="FailedInstanceIds", message=f"TKE did not end it (request {told.request_id})")
            for name in told.failed_instance_ids
        ]
    unknown = [isinstance(e, AmbiguousError) for e in errors]
    if errors and not requests and (all(unknown) or not any(unknown)):
        raise errors[0]
    return Removal(tuple(going), tuple(troubles), tuple(requests))


def _batches(instances: Sequence[Instance]) -> Iterator[tuple[list[str], bool]]:
    """Yield the machines of one request each; those that are not up yet need force."""
    for force in (False, True):
        names = [each.id for each in instances if (each.state != "running") is force]
        for at in range(0, len(names), AT_ONCE):
            yield names[at : at + AT_ONCE], force


def _code(error: ScalerError) -> str:
    if isinstance(error, AmbiguousError):
        return AmbiguousError.kind
    return (error.code if isinstance(error, CloudError) else "") or error.kind
