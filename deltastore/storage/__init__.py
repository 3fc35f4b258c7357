"""Bytes over fsspec: backends, the capability probe, packs."""
