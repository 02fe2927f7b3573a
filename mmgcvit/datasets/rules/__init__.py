"""The rules for datasets. docs/data_rules.md lists them all.

Functions return a ``Finding`` for what breaks a rule, and change nothing; then the rule's effect is
executed. In a folder:

* The readers find what breaks those in ``parsing.py``, and most of those in ``coco.py``. YOLO's
  reader also finds unreadable images, and that of semantic maps labels of no class.
* ``own/training/advice.py`` asks for missing classes, and for splits that are too small to score.
* ``judge.py`` calls the functions of all other rules, and executes the effects of all.

In the datasets of a config, the subpackage ``checks`` calls the functions, and ``make_issues`` says
what stops a run.
"""
