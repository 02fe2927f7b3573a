"""The data of a config: decode its pictures and maps, check it before a run, and transform it.

* ``opening`` opens images and reads their sizes, ``decoding`` decodes them as the pipeline of a
  config does, with ``decoders``, which says whether OpenCV reads a file as Pillow does, and
  ``label_maps`` reads segmentation maps. What training cannot use raises an ``ImageError``.
* ``skip_unreadable`` and ``tiles`` have transforms, which are registered as the classes in
  ``dataset_classes`` are: configs name them.
* ``annotations`` has a box, a mask and an object, and how values of JSON files become them, and
  ``coco_content`` the content of a COCO file. ``coco_categories`` gives classes their ids.
* ``rules`` are what data must fulfil. ``checks`` applies them to the datasets of a config, and
  ``mirroring`` warns of classes that a mirrored image shows wrongly.
* ``loading`` builds the dataset of a config with its ground truth, without augmentation.

Folders of pictures and labels without a config are read in ``own/data``.
"""
