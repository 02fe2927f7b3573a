"""Decode images, read datasets of all formats, cut tiles out of images, and check datasets.

``formats`` reads a user's own dataset into ``records``, which ``rules`` judge, and ``own_data``
writes a config for it. ``checks`` checks the datasets of configs. This subpackage does not import
``models``. Start with ``own_data.py``.
"""
