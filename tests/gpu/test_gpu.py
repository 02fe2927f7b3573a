"""What a GPU must do as a CPU does, in a few minutes: ``make test-gpu``, or on a CPU
``MMGCVIT_TEST_DEVICE=cpu``.

Attention kernels, windows beyond a launch and operators are tested with a ``device`` beside the
CPU's own tests, which ``pytest -m gpu`` selects too.

Modules: `mmgcvit`.
"""

import os

# Required for deterministic matrix products on CUDA, before its first use.
os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')

import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.parallel import DistributedDataParallel

from tools import smoke_config
from tools.benchmark import Case, build

from ..conftest import ROOT
from ..models.contract.backbones import BACKBONES, backpropagate, list_blocks

DEVICE = os.environ.get('MMGCVIT_TEST_DEVICE', 'cuda')
ON_CUDA = DEVICE == 'cuda'
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        ON_CUDA and not torch.cuda.is_available(), reason='no GPU, nor MMGCVIT_TEST_DEVICE=cpu'
    ),
]
NETWORKS = ('gcvit', 'lsa')
# A config of each head, and the configs to train for a few iterations; on a CPU those of the demo.
FAMILIES = ['demo/mask_rcnn_gcvit_digits', 'demo/upernet_gcvit_digits', 'demo/gcvit_digits_cls']
CONFIGS = ['upernet_lsa_s']
SIZE = (64, 96)
BATCH_SIZE = '16'
OPTIONS = ['--device', 'cpu']
if ON_CUDA:
    FAMILIES = ['mask_rcnn_gcvit_t', 'cascade_gcvit_t', 'dino_gcvit_t_12e', 'upernet_gcvit_t']
    FAMILIES += ['gcvit_t_in1k', 'lsa_t_in1k']
    CONFIGS += ['mask_rcnn_gcvit_t', 'gcvit_xxt_in1k']
    SIZE = (512, 640)
    BATCH_SIZE = '4'
    OPTIONS = ['--amp']


def make_backbone(name, **arguments):
    torch.manual_seed(0)
    return BACKBONES[name](drop_path_rate=0.0, **arguments).to(DEVICE)


def read_gradients(model):
    """Return a copy of the gradients, by name."""
    return {name: x.grad.clone() for name, x in model.named_parameters() if x.grad is not None}


@pytest.mark.parametrize('name', FAMILIES)
def test_a_training_step_of_each_family_is_finite_in_bfloat16(name):
    """The whole model with random annotations: every gradient, and some that are not zero."""
    model = build(str(ROOT / 'configs' / f'{name}.py'), SIZE)
    Case((224, 224) if 'in1k' in name else SIZE, 2, 'train', 'bf16', device=DEVICE).prepare(model)()
    gradients = read_gradients(model)
    assert [name for name, gradient in gradients.items() if not gradient.isfinite().all()] == []
    assert any(gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize('name', NETWORKS)
def test_training_with_compiled_blocks_is_eager_training(name):
    """On a CPU the first stage, by a backend that only traces both passes."""
    stages = {} if ON_CUDA else {'out_indices': (0,)}
    model = make_backbone(name, **stages)
    images = torch.rand(2, 3, 64, 96, device=DEVICE)
    backpropagate(model(images))
    expected = read_gradients(model)
    model.zero_grad()
    torch.compiler.reset()
    for block in list_blocks(model):
        block.compile(dynamic=True, backend='inductor' if ON_CUDA else 'aot_eager')
    backpropagate(model(images))
    for key, gradient in read_gradients(model).items():
        atol = 1e-3 * expected[key].abs().max().item() + 1e-6
        torch.testing.assert_close(gradient, expected[key], rtol=0, atol=atol)


@pytest.fixture
def process_group(tmp_path):
    """A group of one process, over nccl on a GPU."""
    store = dist.FileStore(str(tmp_path / 'store'), 1)
    dist.init_process_group('nccl' if ON_CUDA else 'gloo', store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures('process_group')
@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize('wrapper', [DistributedDataParallel, FullyShardedDataParallel])
def test_data_parallel_training_of_one_process_is_plain_training(wrapper, name):
    """By the weights after one step."""
    options = {}
    if wrapper is FullyShardedDataParallel:
        options = {'use_orig_params': True, 'device_id': torch.device(DEVICE)}
    weights = []
    images = torch.rand(2, 3, 64, 96, device=DEVICE)
    for model in (make_backbone(name), wrapper(make_backbone(name), **options)):
        backpropagate(model(images))
        torch.optim.SGD(model.parameters(), lr=0.1).step()
        weights.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
    torch.testing.assert_close(*weights, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('name', CONFIGS)
def test_a_config_trains_resumes_and_tests(name, call, tmp_path):
    """In mixed precision on a GPU; two iterations each, in this process, since imports take long on
    some machines.
    """
    config = ROOT / 'configs' / f'{name}.py'
    smoke_config.prepare(config, tmp_path, int(BATCH_SIZE), 'miniature')
    train = ['train', 'config.py', '--work-dir', 'run', *OPTIONS]
    longer = 'train_cfg.max_iters=4' if 'upernet' in name else 'train_cfg.max_epochs=2'
    for command in (train, [*train, '--resume', '--cfg-options', longer]):
        code, printed = call(*command)
        assert code == 0, printed
    checkpoint = (tmp_path / 'run' / 'last_checkpoint').read_text()
    assert checkpoint.endswith(('epoch_2.pth', 'iter_4.pth'))
    options = [] if ON_CUDA else OPTIONS
    code, printed = call('test', 'config.py', checkpoint, '--work-dir', 'test', *options)
    assert code == 0, printed
