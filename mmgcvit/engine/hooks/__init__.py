"""Hooks of a training run, one subject a file. Each docstring says what mmengine's own hook lacks."""
