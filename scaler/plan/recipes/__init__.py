"""One change a file, each a list of steps that reads as the runbook."""
