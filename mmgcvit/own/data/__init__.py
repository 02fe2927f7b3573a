"""Read a folder of pictures and labels in any format, and judge what is in it.

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

``own/training`` makes a config of the dataset.

Behind these are ``layouts`` (where files are, and which belong together), ``reading`` (many files
at once), ``label_maps`` (what the pixels of maps stand for), ``uniting`` (several folders),
``series`` (images of one video or place) and ``origins`` (labels that a model made). The library's
``datasets`` decodes images, and has boxes, masks and the rules that a config's data fulfil too.

``mmgcvit check-data FOLDER`` does the same, and writes into a temporary folder.

A new layout of COCO, Pascal VOC or maps is a row of a table in ``formats``; a new format is a
module there, named in ``finding.py``; a new rule is a constant in ``rules``, and a function beside
it, which the judge calls, or a reader returns a ``Finding`` for what breaks it.
"""
