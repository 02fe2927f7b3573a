"""Choose the kernel of ``scaled_dot_product_attention`` on CUDA."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

try:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    CAN_ORDER_BACKENDS = hasattr(torch._C, '_get_sdp_priority_order')  # from torch 2.6
except ImportError:  # before torch 2.3
    CAN_ORDER_BACKENDS = False

BACKENDS_LOCK = threading.Lock()


def list_backends(device_type: str) -> 'list[SDPBackend]':
    """Return the allowed backends of ``scaled_dot_product_attention``, best first; an empty list keeps torch's choice.

    On CUDA: flash, which supports neither a bias nor float32; memory-efficient, the only fused kernel with a gradient
    for a bias; math for inputs that the others reject, such as float64. cuDNN, which torch prefers on recent GPUs, is
    excluded: it spends 0.06 to 1 s on a plan for each new number of windows, and detection has many such numbers
    because image sizes vary.
    """
    if device_type != 'cuda' or not CAN_ORDER_BACKENDS:
        return []
    return [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def select_backends(device_type: str) -> AbstractContextManager:
    """Return a context manager that applies :func:`list_backends` to all attention in it, if the user chose none."""
    backends = list_backends(device_type)
    if backends and not torch.compiler.is_compiling():
        return enter_backends(backends)
    return sdpa_kernel(backends, set_priority=True) if backends and not has_user_backends() else nullcontext()


@contextmanager
def enter_backends(backends: 'list[SDPBackend]') -> Iterator[None]:
    """Apply backends in one thread at a time: sdpa_kernel sets flags of the process, and restores those it found."""
    with BACKENDS_LOCK, nullcontext() if has_user_backends() else sdpa_kernel(backends, set_priority=True):
        yield


def is_backend_excluded() -> bool:
    """Return whether ``torch.nn.attention.sdpa_kernel`` or a flag of ``torch.backends.cuda`` excludes a kernel."""
    cuda = torch.backends.cuda
    enabled = cuda.flash_sdp_enabled() and cuda.mem_efficient_sdp_enabled() and cuda.math_sdp_enabled()
    return not (enabled and getattr(cuda, 'cudnn_sdp_enabled', cuda.math_sdp_enabled)())


# torch.compile evaluates this function once, at compile time. torch.compiler.assume_constant_result sets the same
# attribute, but imports the compiler. Older versions of torch.compile overwrite the global variable
# is_backend_excluded with the result, so callers use the alias has_user_backends.
is_backend_excluded._dynamo_marked_constant = True
has_user_backends = is_backend_excluded
