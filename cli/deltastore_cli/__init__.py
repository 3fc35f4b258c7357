"""The git-like command line: parse, one library call, render."""
