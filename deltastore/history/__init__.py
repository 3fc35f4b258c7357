"""The log, commits, manifests, refs, revisions, ancestry, reachability, diff."""
