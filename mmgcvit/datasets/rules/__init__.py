"""The rules for datasets. docs/data_rules.md lists them all.

In a folder, readers find what breaks those of ``parsing.py`` and most of ``coco.py``, YOLO's also
images that cannot be read, that of semantic maps also labels of no class, ``advice.py`` which
classes are missing, and ``judge.py`` what breaks the others that hold for folders. The judge
decides what follows. In a config, the subpackage
``checks`` does both.
"""
