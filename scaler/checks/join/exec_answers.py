"""A command can be run in a pod on the new node."""

from scaler.checks.join import JoinCheck

CHECK = JoinCheck("exec-answers", "node", lambda _: "true", group="access", full=False)
