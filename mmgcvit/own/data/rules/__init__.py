"""The rules for folders of data."""
