"""Measure models: ``benchmark`` time and memory in turns, ``complexity`` parameters and multiply-adds by part."""
