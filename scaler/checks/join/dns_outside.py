"""Names outside of the cluster are told, where the operator named one."""

from scaler.checks.join import NO_DNS, Absent, JoinCheck, resolves

CHECK = JoinCheck(
    "dns-outside",
    "node",
    lambda t: (
        NO_DNS
        if not t.facts.dns
        else "; ".join(f"({resolves(f'{name}.')}) || exit 1" for name in t.facts.outside)
        or Absent("no outside name was given with --outside")
    ),
    group="dns",
)
