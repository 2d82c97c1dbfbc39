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


class LabError(ScalerError):
    """The lab on this machine could not be made, used or taken down."""

    exit_code = 11
    kind = "lab"
