"""No training step of a classifier synchronises with the GPU. Operations that would are found on a CPU."""

import sys
from collections import Counter

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from mmgcvit.config import read_config

from ..conftest import ROOT

# Operations whose result the CPU must read: Python scalars, and shapes that depend on data.
READ_OPERATIONS = {
    *('_local_scalar_dense', 'nonzero', 'masked_select', '_unique2', 'unique_dim', 'unique_consecutive', 'equal'),
    *('bincount', 'histc'),
}
COPY_FUNCTIONS = {'cpu', 'numpy', 'tolist', '__array__'}
# Allowed: reading losses of the previous iteration, and operations on tensors that are always on the CPU.
ALLOWED_PATHS = (
    *('mmgcvit/engine/hooks/async_loss_log.py', 'mmengine/model/averaged_model.py', 'mmengine/model/utils.py'),
    # torch checks the values of labels on CPUs only.
    'mmpretrain/structures/utils.py',
)


class OperationsMode(TorchDispatchMode):
    """Record operations whose result the CPU must read."""

    def __init__(self, record):
        super().__init__()
        self.record = record

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in READ_OPERATIONS:
            self.record(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


class CopiesMode(TorchFunctionMode):
    """Record copies to the CPU, which are not operations if the tensor is there already."""

    def __init__(self, record):
        super().__init__()
        self.record = record

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, '__name__', '')
        # Code that follows its tensors passes a torch.device, not the string 'cpu'.
        if name in COPY_FUNCTIONS or (name == 'to' and any(type(arg) is str and arg == 'cpu' for arg in args[1:])):
            self.record(name)
        return func(*args, **(kwargs or {}))


class CountWaitsHook(Hook):
    """Count reads per code line, in iterations after the second and before the last, none of which is logged."""

    priority = 'HIGHEST'

    def __init__(self):
        self.counts, self.iteration = Counter(), 0

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.iteration, self.last = runner.iter, runner.max_iters - 1

    def record(self, operation):
        if 2 <= self.iteration < self.last:
            frame = sys._getframe(1)
            while frame and ('/torch/' in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
                frame = frame.f_back
            path = frame.f_code.co_filename.removeprefix(f'{ROOT}/').rpartition('site-packages/')[2]
            self.counts[f'{path}:{frame.f_lineno} {frame.f_code.co_name}: {operation}'] += 1


def make_sample():
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    return {'inputs': image, 'data_samples': DataSample(metainfo={'img_path': 'a.jpg'}).set_gt_label(1)}


@pytest.mark.skipif(torch.__version__.startswith('2.1.'), reason='torch 2.1 has no fused AdamW for CPUs')
def test_a_step_with_all_hooks_never_waits_and_reads_the_losses_of_the_previous_one(tmp_path):
    cfg = read_config(ROOT / 'configs' / 'gcvit_xxt_in1k.py')
    iterations = 8
    runner = Runner(
        model=cfg.model,
        data_preprocessor=cfg.data_preprocessor,
        work_dir=str(tmp_path),
        train_dataloader={
            'dataset': [make_sample() for _ in range(2 * iterations)],
            'batch_size': 2,
            'num_workers': 0,
            'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        },
        train_cfg={'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 1},
        optim_wrapper=cfg.optim_wrapper,
        custom_hooks=cfg.get('custom_hooks'),
        default_hooks=cfg.default_hooks,
        default_scope=cfg.default_scope,
        experiment_name=str(tmp_path).replace('/', '_'),
        log_level='ERROR',
    )
    waits = CountWaitsHook()
    runner.register_hook(waits)
    with CopiesMode(waits.record), OperationsMode(waits.record):
        runner.train()
    assert [line for line in waits.counts if not line.startswith(ALLOWED_PATHS)] == []
    read = sum(count for line, count in waits.counts.items() if line.endswith('read: tolist'))
    assert read == 5 + 1, 'losses in each counted iteration, and the step check in one, as a step has four iterations'
