"""Whether torch looks on: compiling what it sees into a graph, or writing it into a file."""

import torch


def is_tracing() -> bool:
    """Whether the caller is made into a graph or a file, by torch.compile, torch.export, torch.jit or an ONNX exporter.

    What is traced serves other sizes and other machines than the ones at hand, so it may not depend on either.
    """
    return is_compiling() or is_exporting()


def is_compiling() -> bool:
    """Whether the caller runs under torch.compile or torch.export. False before torch 2.3, which cannot tell."""
    return hasattr(torch.compiler, 'is_compiling') and torch.compiler.is_compiling()


def is_exporting() -> bool:
    """Whether the caller is written into a file, which must do without this package's operators."""
    return sizes_are_symbols() or torch.jit.is_tracing()


def sizes_are_symbols() -> bool:
    """Whether the caller is under torch.export, whose sizes are symbols that must not be asked what they divide.

    False before torch 2.7, which cannot tell.
    """
    return hasattr(torch.compiler, 'is_exporting') and torch.compiler.is_exporting()
