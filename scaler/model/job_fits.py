"""Whether a job can ever work on a cluster of its kind: what never could is a mistake in the file."""

from __future__ import annotations

from scaler.model.clouds import BINARY
from scaler.model.job_actions import Action, AddNode, Certs, Scale, Snapshot


def misfit(action: Action, kind: str, *, rolls_back: bool) -> str:
    """Return why a job that does ``action`` is none for a cluster of ``kind``, empty where it may be one."""
    if kind == BINARY:
        return _of_clouds(action)
    cluster = f"the cluster is of kind {kind}"
    why = ""
    match action:
        case Snapshot() | Certs():
            why = f"action {action.do} is for binary clusters, and {cluster}"
        case AddNode():
            why = f"add-node takes hosts of binary clusters, and {cluster}; say scale with pool and to"
        case Scale() if action.workers is not None:
            why = f"scale with workers is for binary clusters, and {cluster}; say pool and to"
        case Scale(partial=True):
            why = f"partial takes from standby, and {cluster}; leave it out"
        case _ if rolls_back:
            why = f"on_failure: roll-back is for binary clusters, and {cluster}; scale has rollback: true"
    return why


def _of_clouds(action: Action) -> str:
    if not isinstance(action, Scale):
        return ""
    said = [key for key, value in (("autoscaler", action.autoscaler), ("rollback", action.rollback)) if value]
    return f"{' and '.join(said)}: for pools of managed clusters, and the cluster is of kind binary" if said else ""
