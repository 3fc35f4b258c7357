"""Weights to a commit: plan, encode, verify, write."""
