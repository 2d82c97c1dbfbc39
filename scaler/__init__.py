"""Grow and shrink Kubernetes clusters safely."""

__version__ = "0.1.0"
