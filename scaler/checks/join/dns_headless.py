"""The name of a headless Service is told as the addresses of its pods."""

from scaler.checks.join import NO_DNS, JoinCheck, resolves

CHECK = JoinCheck(
    "dns-headless",
    "node",
    lambda t: resolves(f"headless.{t.facts.namespace}.svc.{t.facts.domain}", t.own.pod_ip) if t.facts.dns else NO_DNS,
    group="dns",
)
