"""Generate, read and check datasets.

``digits`` generates the demo's dataset and ``miniature`` small datasets for dry runs, ``formats`` reads a user's own
dataset, and ``checks`` checks datasets before training. ``engine`` and the subpackages above it may import this one,
which does not depend on models. Start with ``digits.py`` or ``checks/check.py``.
"""
