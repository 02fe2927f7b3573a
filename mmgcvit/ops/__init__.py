"""Fallback operators for an mmcv without compiled ones (a pure-Python wheel of it, or mmcv-lite).

Such an mmcv lacks the module ``mmcv._ext``, and then ``mmcv.ops``, mmdet and parts of mmseg cannot be imported.
:mod:`.fallback` is a module of that name with the operators that this project's configs use, and :mod:`.finder` has
Python find it; compiled operators come first wherever they exist. To be removed once mmcv works without them. Every
subpackage may import it.
"""
