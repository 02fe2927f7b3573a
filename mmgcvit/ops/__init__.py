"""Work beside an incomplete OpenMMLab (an mmcv without compiled operators, missing or broken
packages), and encode masks.

Such an mmcv (a pure-Python wheel, or mmcv-lite) lacks the module ``mmcv._ext``, without which
``mmcv.ops``, mmdet and parts of mmseg cannot be imported. :mod:`.fallback` implements the operators
that this project's configs use, and :mod:`.finder` lets Python import it as ``mmcv._ext``, unless
mmcv has compiled operators. Remove both when mmcv works without compiled operators.
:mod:`.packages` imports mmdet, mmseg and mmpretrain, although another one of them may be broken,
and :mod:`.requirements` says which packages a feature lacks, and how to install them. :mod:`.rle`
encodes masks in COCO's RLE.
"""
