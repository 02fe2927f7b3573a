"""Data sets: those that this project makes (``digits``, ``miniature``), reads (``imagenet_v2``), finds in a folder
(``formats``) and looks into before anything is trained on them (``checks``). Subpackages from ``engine`` on may import
it; of models it knows nothing. Begin with ``digits.py`` for what the demo learns, with ``checks/checking.py`` for what
is looked at.
"""
