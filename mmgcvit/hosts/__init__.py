"""What this package needs of its hosts, and where it helps them: one file a host."""
