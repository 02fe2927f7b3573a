"""Whether torch is tracing: compiling the caller into a graph, or exporting it."""

import torch


def is_tracing() -> bool:
    """Whether torch.compile, torch.export, torch.jit or an ONNX exporter traces the caller.

    A trace serves other sizes, and an export other machines, so what is traced must not depend on them.
    """
    return is_compiling() or is_exporting()


def is_compiling() -> bool:
    """Whether the caller runs under torch.compile or torch.export. False before torch 2.3, which cannot tell."""
    return hasattr(torch.compiler, 'is_compiling') and torch.compiler.is_compiling()


def is_exporting() -> bool:
    """Whether the caller is exported, and so must do without this package's operators."""
    return sizes_are_symbols() or torch.jit.is_tracing()


def sizes_are_symbols() -> bool:
    """Whether the caller is under torch.export, where sizes are symbols of which divisibility cannot be asked.

    False before torch 2.7, which cannot tell.
    """
    return hasattr(torch.compiler, 'is_exporting') and torch.compiler.is_exporting()
