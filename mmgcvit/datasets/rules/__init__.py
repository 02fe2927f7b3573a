"""The rules for datasets. docs/data_rules.md lists them all.

Who looks for what breaks a rule in a folder:

* The readers: the rules in ``parsing.py``, and most of those in ``coco.py``. YOLO's reader also
  looks for unreadable images, and that of semantic maps for labels of no class.
* ``advice.py``: missing classes.
* ``judge.py``: all other rules for folders.

``judge.py`` then decides what follows. In the datasets of a config, the subpackage ``checks`` looks
for what breaks a rule, and decides what follows.
"""
