"""What was fetched from stores that are not local: bounded, shared by processes, disposable."""
