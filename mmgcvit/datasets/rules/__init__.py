"""The rules for datasets. :data:`RULES` lists all of them; ``judge.py`` applies them to a folder,
and the subpackage ``checks`` to a config.
"""

from . import classes, coco, images, judge, objects, parsing
from .rule import Rule

MODULES = (images, judge, objects, coco, classes, parsing)
# Modules import rules of each other.
RULES = tuple(
    dict.fromkeys(
        each for module in MODULES for each in vars(module).values() if isinstance(each, Rule)
    )
)
