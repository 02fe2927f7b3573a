"""Check a CUDA training step without a GPU: no synchronisation, no mixed devices, no mixed dtypes."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmgcvit import GCViT

from ..conftest import HALF_DTYPES
from .fake_cuda import Case, back, fake_cuda, run

pytestmark = pytest.mark.skipif(
    not hasattr(torch.utils.checkpoint, 'GraphExecGroup'), reason='a backward pass by hand comes with torch 2.10'
)
WITH_CP, FROZEN = ('model.backbone.with_cp', True), ('model.backbone.frozen_stages', 2)
LORA = ('model.backbone.lora_rank', 8)
# One of each network, task and kind of step.
ONE_OF_EACH = [
    Case('gcvit_xxt_in1k', (224, 224), torch.float16, (WITH_CP,)),
    Case('lsa_t_cifar10', (32, 32), torch.bfloat16),
    Case('mask_rcnn_gcvit_t', (203, 331), torch.bfloat16, (('model.backbone.window_size', 24),)),
    Case('mask_rcnn_lsa_s', (800, 1333), torch.float16, (FROZEN, LORA)),
    Case('upernet_gcvit_t', (512, 512), None, (LORA,)),
    Case('dino_gcvit_t_12e', (203, 331), torch.bfloat16, (WITH_CP, FROZEN)),
]


@pytest.mark.parametrize('case', ONE_OF_EACH, ids=str)
def test_training_and_inference_never_synchronise_the_device(case):
    """Fake tensors raise an error where a number is read, a size depends on numbers, or devices are mixed."""
    for name, x in run(case).items():
        assert x.device.type == 'cuda', name
        assert x.dtype == torch.float32 or name.startswith('map '), name


class DepthwiseBackends(TorchDispatchMode):
    """Records the backends that torch chooses for depthwise convolutions and their gradients, by dtype and layout."""

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
        model._apply(lambda x: torch.full(x.shape, 0.01, dtype=x.dtype, device='cuda'))
        with torch.autocast('cuda', dtype, enabled=dtype is not None):
            maps = model(torch.rand(2, 3, 203, 331, device='cuda'))
        back(sum(x.float().mean() for x in maps))
    assert backends.found == ['CudaDepthwise2d'] * 2 * 11
