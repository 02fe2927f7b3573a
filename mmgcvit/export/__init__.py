"""Export trained models to ONNX files, which run without this package and without torch.

Start with :func:`export_onnx`, then read :mod:`.graphs` and :mod:`.detector`.
:mod:`.onnx_predictor` runs inference with such a
file; it imports neither torch nor this package.
"""

from .writing import check_export_packages, export_onnx

__all__ = ['check_export_packages', 'export_onnx']
