"""What the command lines under tools/ share: reading a config and its options, and readiness checks."""
