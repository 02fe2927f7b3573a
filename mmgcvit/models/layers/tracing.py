"""Detect whether torch traces the model. A traced graph must not depend on the sizes of the example inputs."""

import torch


def is_tracing() -> bool:
    """Return whether torch.compile, torch.export or torch.jit.trace traces the caller."""
    # torch.compiler.is_compiling is new in torch 2.3.
    return is_jit_tracing() or (hasattr(torch.compiler, 'is_compiling') and torch.compiler.is_compiling())


def is_jit_tracing() -> bool:
    """Return whether torch.jit.trace traces the caller, as in an export to ONNX. The graph must work for all sizes."""
    return torch.jit.is_tracing()
