"""The name of a Service is told as its ClusterIP, by the server of DNS that pods of this node are given."""

from scaler.checks.join import NO_DNS, JoinCheck, resolves

CHECK = JoinCheck(
    "dns-service",
    "node",
    lambda t: resolves(f"verify.{t.facts.namespace}.svc.{t.facts.domain}", t.service_ip) if t.facts.dns else NO_DNS,
    group="dns",
)
