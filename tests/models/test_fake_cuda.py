"""A training step on tensors without numbers, which needs no GPU.

It raises an error where a number is read, or a size depends on numbers: CUDA would synchronise
there.

Modules: `mmgcvit/models`.
"""

from functools import partial
from itertools import product
from math import prod

import pytest
import torch
from packaging.version import Version
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from mmgcvit import LSA, GCViT

from ..conftest import HALF_DTYPES

# The most by which the counts of other versions of torch exceed the limits.
MAX_RATIO = 1.03
DETECTION = (2, 3, 800, 1333)
# Those of the variants tiny and base, with one block of each kind of attention a stage.
TINY = {'embed_dims': 64, 'depths': (2, 2, 2, 2), 'num_heads': (2, 4, 8, 16), 'mlp_ratio': 3}
BASE = TINY | {'embed_dims': 128, 'num_heads': (4, 8, 16, 32), 'mlp_ratio': 2, 'layer_scale': 1e-5}


# Older versions decompose more operators.
pytestmark = pytest.mark.skipif(
    Version(torch.__version__) < Version('2.10'), reason='counted with torch 2.10 and later'
)


class KernelCounter(TorchDispatchMode):
    """Counts operators that are not views, and the gigabytes that they read and write."""

    kernels = gigabytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        outputs = function(*args, **(kwargs or {}))
        # torch does not call _unsafe_view a view, but it copies nothing.
        if not function.is_view and function is not torch.ops.aten._unsafe_view.default:
            self.kernels += 1
            for x in tree_flatten((args, outputs))[0]:
                if isinstance(x, torch.Tensor):
                    # Without dimensions that are expanded.
                    sizes = zip(x.shape, x.stride(), strict=True)
                    elements = prod(size for size, stride in sizes if stride)
                    self.gigabytes += elements * x.element_size() / 1e9
        return outputs


@pytest.mark.parametrize(
    ('build', 'shape', 'limits'),
    [
        (partial(GCViT, TINY), (32, 3, 224, 224), (808, 25.17)),
        (partial(GCViT, TINY, window_size=16), DETECTION, (886, 49.19)),
        pytest.param(
            partial(GCViT, BASE, window_size=16), DETECTION, (950, 99.49), marks=pytest.mark.slow
        ),
        (partial(GCViT, TINY, with_cp=True, frozen_stages=2), DETECTION, (668, 19.57)),
        (partial(LSA, 'cifar-tiny'), (2, 3, 45, 67), (1083, 9.57)),
        (partial(LSA, 'cifar-tiny', lora_rank=8), (2, 3, 45, 67), (1167, 7.98)),
        pytest.param(
            partial(GCViT, TINY, window_size=16, lora_rank=8),
            DETECTION,
            (839, 40.86),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_step_reads_no_number_and_kernels_and_traffic_do_not_grow(build, shape, limits):
    """``limits`` are the number of kernels, and the GB that they read and write."""
    with torch.device('meta'):
        model = build()
        images = torch.rand(shape)
        model(images)  # constants of this size are computed once in a process
        with KernelCounter() as counter:
            sum(x.mean() for x in model(images)).backward()
    assert all(x.grad.is_meta for x in model.parameters() if x.requires_grad)
    assert counter.kernels <= MAX_RATIO * limits[0]
    assert counter.gigabytes <= MAX_RATIO * limits[1]


class ConvRecorder(TorchDispatchMode):
    """Records of convolutions: whether the map is contiguous if depthwise, and None for others."""

    def __init__(self):
        super().__init__()
        self.layouts = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.convolution.default:
            # With several groups, it is depthwise.
            self.layouts.append(args[0].is_contiguous() if args[8] > 1 else None)
        return function(*args, **(kwargs or {}))


@pytest.mark.slow
@pytest.mark.parametrize('dtype', [*HALF_DTYPES, None])
@pytest.mark.parametrize(('training', 'benchmark'), product([True, False], repeat=2))
def test_depthwise_convolutions_are_cudnns_only_in_training_with_benchmark(
    dtype, training, benchmark, monkeypatch
):
    """cuDNN makes a plan for each new shape of a map: slowest for depthwise convolutions.

    torch has a kernel of its own for contiguous maps. Strided convolutions are cuDNN's.
    """
    monkeypatch.setattr(torch.backends.cudnn, 'benchmark', benchmark)
    # Without a driver torch.autocast would turn itself off.
    monkeypatch.setattr('torch.cuda.amp.common.amp_definitely_not_available', lambda: False)
    monkeypatch.setattr('torch.cuda.is_bf16_supported', lambda: True)
    with torch.device('meta'):
        model = GCViT(TINY, window_size=16).train(training)
    with FakeTensorMode(allow_non_fake_inputs=True), ConvRecorder() as convs, torch.no_grad():
        model.to_empty(device='cuda')
        with torch.autocast('cuda', dtype, enabled=dtype is not None):
            maps = model(torch.rand(2, 3, 203, 331, device='cuda'))
    assert all(x.is_cuda for x in maps)
    assert convs.layouts.count(not (training and benchmark)) == 11  # else cuDNN's
    assert convs.layouts.count(None) == 5
