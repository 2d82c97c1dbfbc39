"""Every way scaler can end, as a tree; each branch has one exit code.

======  ===================  ==========================================================================
code    class                meaning
======  ===================  ==========================================================================
0       (none)               done, or nothing to do
1       ScalerError          a defect of scaler's own, or a failure no other code describes
2       PartialError         some hosts made it, some did not; the others' work stands
3       InputError           a wrong option, argument, inventory or file; nothing was touched
4       PreflightError       a host or the cluster is not fit for the change; nothing was touched
5       GuardError           the change itself is unsafe (quorum, last master); nothing was touched
6       LockedError          somebody else is changing this cluster
7       UnreachableError     a host, the API server or a mirror does not answer
8       IntegrityError       a binary or a file is not what its digest says
9       StepError            a step failed and what it did was undone
10      AbortedError         the operator said no, or interrupted the run
11      LabError             the lab on this machine could not be made, used or taken down
13      CloudError           a cloud refused or failed, and no other code describes it
14      CredentialsError     a cloud does not know the caller, or does not let it do this
15      ConflictError        a cloud is changing the pool already, or somebody changed it in between; try again later
16      QuotaError           a limit of the account, the cluster or the pool at the cloud is reached
17      SoldOutError         the cloud has no such machines left, there and now
18      ThrottledError       the cloud took no more requests, also after they were repeated
19      AmbiguousError       a request was sent and its answer was lost: nobody knows whether it was done
20      NotOfferedError      this cloud does not offer that at all
21      StillGoingError      the cloud was not done within the time; it goes on, and so does the run when resumed
30      BusyError            a job did not get the cluster's lock in time, or is running already
31      NotNowError          a job is not to run now: outside its window, or its time came a second time
======  ===================  ==========================================================================

Exit code 2 is also what the command-line parser gives for an unknown option; scripts that need to tell them
apart read ``--output json``.
"""

from __future__ import annotations

from typing import ClassVar


class ScalerError(Exception):
    """What went wrong, where, why; ``hint`` says what to do next."""

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class PartialError(ScalerError):
    """Some hosts made it and some did not."""

    exit_code = 2
    kind = "partial"


class InputError(ScalerError):
    """An option, an argument or a file is wrong; nothing was touched."""

    exit_code = 3
    kind = "input"


class PreflightError(ScalerError):
    """A host or the cluster is not fit for the change; nothing was touched."""

    exit_code = 4
    kind = "preflight"


class GuardError(ScalerError):
    """The change itself is unsafe; nothing was touched."""

    exit_code = 5
    kind = "guard"


class LockedError(ScalerError):
    """Somebody else is changing this cluster."""

    exit_code = 6
    kind = "locked"


class UnreachableError(ScalerError):
    """A host, the API server or a mirror does not answer."""

    exit_code = 7
    kind = "unreachable"


class IntegrityError(ScalerError):
    """A binary or a file is not what its digest says it is."""

    exit_code = 8
    kind = "integrity"


class StepError(ScalerError):
    """A step failed; what the run did on the hosts it names was undone, or the message says what is left."""

    exit_code = 9
    kind = "step"


class AbortedError(ScalerError):
    """The operator said no, or interrupted the run."""

    exit_code = 10
    kind = "aborted"


class CloudError(ScalerError):
    """A cloud refused or failed; the message ends with the cloud's own code and the request's ID.

    ``transient`` tells that the same request may succeed soon, as behind a 5xx.
    """

    exit_code = 13
    kind = "cloud"

    def __init__(
        self, message: str, *, hint: str = "", code: str = "", request: str = "", transient: bool = False
    ) -> None:
        told = ", ".join(filter(None, [code, f"request {request}" if request else ""]))
        super().__init__(f"{message} ({told})" if told else message, hint=hint)
        self.code = code
        self.request = request
        self.transient = transient


class CredentialsError(CloudError):
    """The cloud does not know the caller, or does not let it do this."""

    exit_code = 14
    kind = "credentials"


class ConflictError(CloudError):
    """The cloud is changing the pool already, or somebody changed it in between."""

    exit_code = 15
    kind = "conflict"


class QuotaError(CloudError):
    """A limit of the account, the cluster or the pool is reached."""

    exit_code = 16
    kind = "quota"


class SoldOutError(CloudError):
    """The cloud has no such machines left."""

    exit_code = 17
    kind = "sold-out"


class ThrottledError(CloudError):
    """The cloud takes no more requests for now; nothing was done."""

    exit_code = 18
    kind = "throttled"


class AmbiguousError(CloudError):
    """A request was sent and its answer was lost."""

    exit_code = 19
    kind = "ambiguous"


class NotOfferedError(CloudError):
    """The cloud does not offer that."""

    exit_code = 20
    kind = "not-offered"


class StillGoingError(CloudError):
    """The cloud was not done within the time, and goes on."""

    exit_code = 21
    kind = "still-going"


class BusyError(ScalerError):
    """A job waited for the cluster as long as it may, or is at work already."""

    exit_code = 30
    kind = "busy"


class NotNowError(ScalerError):
    """A job is not to run now."""

    exit_code = 31
    kind = "not-now"


class LabError(ScalerError):
    """The lab on this machine could not be made, used or taken down."""

    exit_code = 11
    kind = "lab"


def of(exit_code: int) -> type[ScalerError]:
    """Return the class of error that has ``exit_code``; ScalerError where none has."""
    kinds = [ScalerError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    # Those of single gateways share the code of the class that they come from, which is found first.
    return next((kind for kind in kinds if kind.exit_code == exit_code), ScalerError)
