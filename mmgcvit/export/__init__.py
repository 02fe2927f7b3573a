"""Export trained models to ONNX files, which run without this package and without torch.

Read :func:`export_onnx` first, then :mod:`.graphs` and :mod:`.detector_graph`. :mod:`.onnx_predictor` runs a file, and
imports neither torch nor the rest of this package, so that it can be copied into other projects.
"""

from .onnx_file import EXPORT_PACKAGES, export_onnx

__all__ = ['EXPORT_PACKAGES', 'export_onnx']
