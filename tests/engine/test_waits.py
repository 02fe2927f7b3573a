"""No training step of a classifier waits for the device: on a CPU, what would read numbers from one is found."""

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

# Operations whose result the host needs to go on: numbers, and shapes that depend on data.
READING = {
    *('_local_scalar_dense', 'nonzero', 'masked_select', '_unique2', 'unique_dim', 'unique_consecutive', 'equal'),
    *('bincount', 'histc'),
}
COPYING = {'cpu', 'numpy', 'tolist', '__array__'}
# What a step has beside: losses of the iteration before, and what is on the CPU whatever trains.
ALLOWED = (
    *('mmgcvit/engine/hooks/async_loss_log.py', 'mmengine/model/averaged_model.py', 'mmengine/model/utils.py'),
    # torch looks at labels on CPUs only.
    'mmpretrain/structures/utils.py',
)


class Operations(TorchDispatchMode):
    def __init__(self, note):
        super().__init__()
        self.note = note

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in READING:
            self.note(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


class Copies(TorchFunctionMode):
    """Notes what is copied to the CPU, which on a CPU is no operation."""

    def __init__(self, note):
        super().__init__()
        self.note = note

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, '__name__', '')
        # Code that goes where its tensors are names a device's object.
        if name in COPYING or (name == 'to' and any(type(place) is str and place == 'cpu' for place in args[1:])):
            self.note(name)
        return func(*args, **(kwargs or {}))


class WaitsHook(Hook):
    """Counts reads by lines, in iterations after the second and before the last, of which none is logged."""

    priority = 'HIGHEST'

    def __init__(self):
        self.found, self.iteration = Counter(), 0

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.iteration, self.last = runner.iter, runner.max_iters - 1

    def note(self, what):
        if 2 <= self.iteration < self.last:
            frame = sys._getframe(1)
            while frame and ('/torch/' in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
                frame = frame.f_back
            path = frame.f_code.co_filename.removeprefix(f'{ROOT}/').rpartition('site-packages/')[2]
            self.found[f'{path}:{frame.f_lineno} {frame.f_code.co_name}: {what}'] += 1


def sample():
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    return {'inputs': image, 'data_samples': DataSample(metainfo={'img_path': 'a.jpg'}).set_gt_label(1)}


@pytest.mark.skipif(torch.__version__.startswith('2.1.'), reason='it has no fused AdamW for CPUs')
def test_a_step_with_all_hooks_waits_nowhere_and_the_losses_of_the_one_before_are_read(tmp_path):
    cfg = read_config(ROOT / 'configs' / 'gcvit_xxt_in1k.py')
    iterations = 8
    runner = Runner(
        model=cfg.model,
        data_preprocessor=cfg.data_preprocessor,
        work_dir=str(tmp_path),
        train_dataloader={
            'dataset': [sample() for _ in range(2 * iterations)],
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
    waits = WaitsHook()
    runner.register_hook(waits)
    with Copies(waits.note), Operations(waits.note):
        runner.train()
    assert [line for line in waits.found if not line.startswith(ALLOWED)] == []
    read = sum(count for line, count in waits.found.items() if line.endswith('read: tolist'))
    assert read == 5 + 1, 'losses in each of the iterations counted, the verdict in one: a step has four of them'
