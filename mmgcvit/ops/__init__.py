"""Fallback operators for an mmcv without compiled operators (a pure-Python wheel of mmcv, or
mmcv-lite).

Such an mmcv lacks the module ``mmcv._ext``, without which ``mmcv.ops``, mmdet and parts of mmseg
cannot be imported. :mod:`.fallback` implements the operators that this project's configs use, and
:mod:`.finder` lets Python import it as ``mmcv._ext``, unless mmcv has compiled operators. Remove
this package when mmcv works without compiled operators.
"""
