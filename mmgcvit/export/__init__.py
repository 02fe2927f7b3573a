"""Trained models as files of ONNX, for machines without this package, and without torch.

:func:`write` makes one of a model: begin there, then read :mod:`.graphs` and :mod:`.detector`. :mod:`.runner` runs one
with NumPy and onnxruntime alone, and imports nothing of this package. The rooms from ``web`` on may import this one.
"""

from .writing import check_onnx, write

__all__ = ['check_onnx', 'write']
