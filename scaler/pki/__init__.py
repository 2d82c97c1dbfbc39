"""Certificates and kubeconfigs: bytes in, bytes out."""
