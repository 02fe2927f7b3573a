"""Export trained models to ONNX files, which run without this package and without torch.

Start with :func:`write`, then read :mod:`.graphs` and :mod:`.detector`. :mod:`.runner` predicts images with such a
file; it imports neither torch nor this package.
"""

from .writing import check_onnx, write

__all__ = ['check_onnx', 'write']
