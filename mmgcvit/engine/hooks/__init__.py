"""Hooks for mmengine's Runner, one topic per file; configs/_base_/runtime.py gives the reason for each that it adds."""
