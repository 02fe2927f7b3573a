"""Decode images, read datasets of all formats, cut tiles out of images, and check datasets.

How ``mmgcvit train --data FOLDER`` comes from a folder to a config:

1. ``folders.scan_folder`` lists the files: a ``Folder``.
2. ``formats.finding`` asks the formats for the layouts that the folder fits (a ``Match``): those
   of annotation files first, then maps, then class folders. It rejects a folder that fits none, or
   several of annotation files or of maps.
3. The format's reader parses the annotations: a ``DatasetInfo`` (``records.py``). For each of
   train, val and test it has an ``ObjectSplit``, of boxes and masks in COCO's format, or a
   ``LabelSplit``, of images with a class or a map each. What cannot be parsed is in its
   ``problems``, by the ``Rule`` that it breaks.
4. ``rules.judge`` looks for what breaks the other rules, and leaves out what cannot be used; if all
   that was left out is more than a tenth, it rejects the folder.
5. ``own_data.make_config`` asks ``plan`` for the settings (a ``Plan``), for which ``hold_out``
   makes a validation split if there is none, and ``advice`` for what will not go well. Then it
   writes the annotations and a filled in ``template``.

``hold_out`` keeps images of a ``series`` together. ``plan`` and ``advice`` measure objects by
``object_sizes``.

Behind these are ``layouts`` (where files are, and which belong together), ``reading`` (many files
at once) and ``decoding`` (of images and maps). ``resuming`` is for a run that goes on,
``transforms`` and ``dataset_classes`` for the training itself.

``mmgcvit check-data FOLDER`` does the same, and writes into a temporary folder. ``checks`` applies
the rules to the datasets of any config, before a training or a test.

A new layout of COCO, Pascal VOC or maps is a row of a table in ``formats``; a new format is a
module there, named in ``finding.py``; a new rule is a constant in ``rules``, and is broken
where the function beside it or a reader finds it. This subpackage does not import ``models``.
"""
