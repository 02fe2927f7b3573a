"""Decode images, read datasets of all formats, cut tiles out of images, and check datasets.

``formats`` reads a user's own dataset, for which ``own_data`` writes a config. ``checks`` checks
datasets before training. This subpackage does not import ``models``. Start with ``own_data.py``.
"""
