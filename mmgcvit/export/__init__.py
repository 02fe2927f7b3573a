"""Trained models as ONNX files, for machines without this package and without torch.

Begin with :func:`write`, then read :mod:`.graphs` and :mod:`.detector`. :mod:`.runner` runs a file with NumPy and
onnxruntime alone, and imports nothing of this package.
"""

from .writing import check_onnx, write

__all__ = ['check_onnx', 'write']
