"""A commit to weights: plan, read, decode, apply, sinks."""
