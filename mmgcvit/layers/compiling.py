"""Whether torch looks on, to compile what it sees or to write it into a file."""

import torch


def is_compiling() -> bool:
    """Whether the caller runs under torch.compile, which decides by itself what to take in parts or to copy.

    False before torch 2.3, which cannot tell.
    """
    return hasattr(torch.compiler, 'is_compiling') and torch.compiler.is_compiling()


def is_exporting() -> bool:
    """Whether the caller is traced for a file, which must do without this package and serve other processors."""
    exporting = hasattr(torch.compiler, 'is_exporting') and torch.compiler.is_exporting()
    return exporting or torch.jit.is_tracing()
