"""The lab: real hosts and a real Kubernetes on this one machine, to learn and to test on."""
