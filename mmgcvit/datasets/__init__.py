"""Decode images, read datasets of all formats, cut tiles out of images, and check datasets.

How ``mmgcvit train --data FOLDER`` comes from a folder to a dataset:

1. ``folders.scan_folder`` lists the files: a ``Folder``.
2. ``formats.finding`` looks for the layout that the folder fits (a ``Match``): first among those
   with annotation files, then among those with maps, then class folders. It rejects a folder that
   fits none, and one that fits several with annotation files, or several with maps.
3. The format's reader parses the annotations: a ``DatasetInfo`` (``records.py``). For each of
   train, val and test it has an ``ObjectSplit``, of images with boxes or masks, a ``ClassSplit``,
   of images with a class each, or a ``MapSplit``, of images with a semantic map each. What cannot
   be parsed is in its ``findings``, each with the ``Rule`` that it breaks.
4. ``rules.judge`` calls the functions that find what breaks the other rules, and executes the
   effect of each finding's rule. If more than a tenth of the images or of the objects was left out,
   it rejects the folder.

``own_data`` makes a config of the dataset.

Behind these are ``annotations`` (a box, a mask, an object, and how values of files become them),
``coco_content`` (the content of COCO files), ``layouts`` (where files are, and which belong
together), ``reading`` (many files at once) and ``decoding`` (of images and maps). ``transforms``
and ``dataset_classes`` are for the training itself.

``mmgcvit check-data FOLDER`` does the same, and writes into a temporary folder. ``checks`` applies
the rules to the datasets of any config, before a training or a test.

A new layout of COCO, Pascal VOC or maps is a row of a table in ``formats``; a new format is a
module there, named in ``finding.py``; a new rule is a constant in ``rules``, and a function beside
it, which the judge calls, or a reader returns a ``Finding`` for what breaks it. This subpackage
does not import ``models``.
"""
