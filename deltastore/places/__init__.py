"""Places that files and stores are in: URLs, fsspec file systems, requests, and their failures."""
