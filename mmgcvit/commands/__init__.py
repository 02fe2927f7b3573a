"""The commands, one file each. ``mmgcvit NAME`` and ``python tools/NAME.py`` call the same function."""
