"""A Service with session affinity leads one client to one pod, each time."""

from scaler.checks.join import PATIENCE_SECONDS, Absent, JoinCheck, Target, name_of

# By chance one of two pods would answer all of them once in a thousand times.
TIMES = 11


def _line(target: Target) -> str | Absent:
    if not target.peers:
        return Absent("only one pod to choose from, since there is no other Ready node")
    once = name_of(target.affine_ip)
    return (
        f"end=$(($(date +%s) + {PATIENCE_SECONDS})); "
        f'until n=$({once}); [ "$n" ] || [ "$(date +%s)" -ge $end ]; do sleep 0.5; done; '
        f'[ "$n" ] || {{ echo "the Service at {target.affine_ip} does not answer"; exit 1; }}; '
        f"for _ in $(seq {TIMES - 1}); do m=$({once}); "
        f'[ "$m" = "$n" ] || {{ echo "one client came to $n and then to ${{m:-nobody}}"; exit 1; }}; done'
    )


CHECK = JoinCheck("session-affinity", "node", _line, group="services")
