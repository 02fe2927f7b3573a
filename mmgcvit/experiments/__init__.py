"""Measure models: ``benchmark`` time and memory, ``complexity`` parameters and multiply-adds."""
