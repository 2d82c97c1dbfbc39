"""The name of a Service of type ExternalName is told as what it stands for."""

from scaler.checks.join import NO_DNS, JoinCheck, resolves

CHECK = JoinCheck(
    "external-name",
    "node",
    lambda t: resolves(f"elsewhere.{t.facts.namespace}.svc.{t.facts.domain}", t.service_ip) if t.facts.dns else NO_DNS,
    group="services",
)
