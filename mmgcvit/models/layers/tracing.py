"""Tell whether the layers run or are traced."""

import torch


def is_tracing() -> bool:
    """Return whether torch.compile, torch.export or torch.jit.trace traces the caller.

    The graph must be right for other sizes than the example's, so a step that is skipped for some
    sizes is always taken. Only the layers can see to that: users trace backbones as they are.
    """
    # torch.compiler.is_compiling is new in torch 2.3.
    return torch.jit.is_tracing() or (
        hasattr(torch.compiler, 'is_compiling') and torch.compiler.is_compiling()
    )
