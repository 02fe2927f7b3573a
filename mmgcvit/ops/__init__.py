"""Fallback operators for an mmcv without compiled ones (a pure-Python wheel of it, or mmcv-lite).

Such an mmcv lacks the module ``mmcv._ext``, without which ``mmcv.ops``, mmdet and parts of mmseg cannot be imported.
:mod:`.fallback` implements the operators that this project's configs use, and :mod:`.finder` makes it importable as
``mmcv._ext``. Compiled operators come first if they exist. Remove this once mmcv works without them. Every subpackage
may import it.
"""
