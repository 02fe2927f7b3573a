"""Hooks of training runs, one subject a file; configs/_base_/runtime.py says why each is there."""
