"""Contract suites that every backend and codec runs, ours and plug-ins' alike."""
