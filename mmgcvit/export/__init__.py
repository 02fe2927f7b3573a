"""Trained models as files of ONNX, for machines without this package, and without torch.

:func:`write` makes one of a model; :mod:`.runner` runs one with NumPy and onnxruntime alone.
"""

from .writing import Written, check_target, write

__all__ = ['Written', 'check_target', 'write']
