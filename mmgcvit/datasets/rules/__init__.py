"""The rules for datasets. docs/data_rules.md lists them all.

In a folder, these check the rules:

* The readers check those in ``parsing.py``, and most of those in ``coco.py``. YOLO's reader also
  checks for unreadable images, and that of semantic maps for labels of no class.
* ``own_data/advice.py`` checks for missing classes.
* ``judge.py`` checks all other rules for folders, and then decides what follows.

In the datasets of a config, the subpackage ``checks`` checks the rules and decides what follows.
"""
