"""Hooks for mmengine's Runner, one topic per file.

configs/_base_/runtime.py says why it adds each of its hooks.
"""
