"""The rules that only folders of data can break, and the judge, who applies all rules to a folder.

* The readers find what breaks those in ``parsing.py``, and most of those in the library's
  ``rules/coco.py``. YOLO's reader also finds unreadable images, and that of semantic maps labels of
  no class.
* ``own/training/advice.py`` asks for missing classes, and for splits that are too small to score.
* ``judge.py`` calls the functions of all other rules, and executes the effects of all.
"""
