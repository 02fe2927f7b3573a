"""The rules for datasets, which :data:`RULES` lists for docs and tests.

In a folder, readers find what breaks those of ``parsing.py`` and most of ``coco.py``, YOLO's also
images that cannot be read, ``own_data.py`` which classes are missing, and ``judge.py`` what breaks
the others; the judge decides what follows. In a config, the subpackage ``checks`` does both.
"""

from . import classes, coco, images, judge, objects, parsing
from .rule import Rule

# Modules import rules of each other.
RULES = tuple(
    dict.fromkeys(
        each
        for module in (images, judge, objects, coco, classes, parsing)
        for each in vars(module).values()
        if isinstance(each, Rule)
    )
)
