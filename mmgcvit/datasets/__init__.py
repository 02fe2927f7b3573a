"""Data sets: the demo's (``digits``), miniatures for dry runs (``miniature``), ImageNetV2; formats of own data
(``formats``); and data checks before a training (``checks``). Subpackages from ``engine`` on may import it; it knows
nothing of models. Begin with ``digits.py`` for the demo's data, with ``checks/check.py`` for the checks.
"""
