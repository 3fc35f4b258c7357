"""Looking after a store: fsck."""
