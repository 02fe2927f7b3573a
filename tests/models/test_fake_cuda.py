"""A CUDA training step, without a GPU: no synchronisation, few kernels, no plans of cuDNN for each size."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmgcvit import LSA, GCViT

from ..conftest import HALF_DTYPES
from ..docs.pages import find_tables
from .fake_cuda import count_step, fake_cuda, move_to_cuda, run_step

pytestmark = pytest.mark.skipif(
    not hasattr(torch.utils.checkpoint, 'GraphExecGroup'), reason='a backward pass by hand comes with torch 2.10'
)
# The most by which the counts of other versions of torch exceed those in the table.
MAX_RATIO = 1.03
DETECTION = (2, 3, 800, 1333)


@pytest.mark.parametrize(
    ('network', 'arguments', 'dtype'),
    [
        (GCViT, {'arch': 'xxtiny', 'with_cp': True}, torch.float16),
        (GCViT, {'arch': 'xxtiny', 'window_size': 24, 'frozen_stages': 2}, None),
        (LSA, {'arch': 'cifar-tiny', 'lora_rank': 8}, torch.bfloat16),
    ],
)
def test_training_never_synchronises_the_device(network, arguments, dtype):
    """Fake tensors raise an error where a number is read, a size depends on numbers, or devices are mixed."""
    with torch.device('meta'):
        model = network(**arguments)
    with fake_cuda():
        maps = run_step(move_to_cuda(model), torch.rand(2, 3, 203, 331, device='cuda'), dtype)
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert gradients
    assert all(x.device.type == 'cuda' for x in [*maps, *gradients])


class DepthwiseBackends(TorchDispatchMode):
    """Records the backends that torch chooses for depthwise convolutions and their gradients."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        arguments = ()
        if function is torch.ops.aten.convolution.default:
            arguments = args[:9]
        elif function is torch.ops.aten.convolution_backward.default:
            arguments = (*args[1:3], None, *args[4:10])
        if arguments and arguments[-1] > 1:  # groups
            self.found.append(torch._C._select_conv_backend(*arguments, None).name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize('dtype', [*HALF_DTYPES, None])
def test_depthwise_convolutions_are_not_cudnns(dtype):
    """cuDNN would compile a plan for each new shape of a map, forward and backward."""
    with torch.device('meta'):
        model = GCViT('xxtiny', window_size=16)
    with fake_cuda(), DepthwiseBackends() as backends:
        run_step(move_to_cuda(model), torch.rand(2, 3, 203, 331, device='cuda'), dtype)
    assert backends.found == ['CudaDepthwise2d'] * 2 * 11


@pytest.mark.parametrize(
    ('step', 'arguments', 'shape', 'training'),
    [
        ('tiny, 32 x 224², training', {}, (32, 3, 224, 224), True),
        ('tiny, 32 x 224², inference', {}, (32, 3, 224, 224), False),
        ('tiny, 2 x 800x1333, windows 16, training', {'window_size': 16}, DETECTION, True),
        ('base, 2 x 800x1333, windows 16, training', {'arch': 'base', 'window_size': 16}, DETECTION, True),
    ],
)
def test_kernels_traffic_and_memory_are_those_of_the_table(step, arguments, shape, training):
    (table,) = (rows for rows in find_tables('docs/performance.md') if 'kernels' in rows[0])
    (limits,) = ([float(cell.replace(',', '')) for cell in cells] for name, *cells in table[1:] if name == step)
    with torch.device('meta'):
        model = GCViT(**arguments)
    counts = count_step(model, shape, training)
    assert all(count <= MAX_RATIO * limit for count, limit in zip(counts, limits, strict=True)), counts
