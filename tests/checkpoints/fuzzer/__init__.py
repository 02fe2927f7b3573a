"""A fuzzer for checkpoint files: hostile and damaged ones, through every way in.

``python -m tests.checkpoints.fuzzer --files 10000`` or ``--hours 8``; a file that fails is kept, and its seed is told.
"""
