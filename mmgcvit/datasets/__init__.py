"""Generate, read and check datasets.

``digits`` generates the demo's dataset. ``formats`` reads a user's own dataset, for which ``own_data`` writes a config.
``checks`` checks datasets before training. This subpackage does not import ``models``. Start with ``digits.py`` or
``checks/datasets.py``.
"""
