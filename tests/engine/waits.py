"""Where a training step would wait for a device: on a CPU, what would read numbers from one, and the lines that do."""

import sys
from collections import Counter
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import InstanceData, PixelData
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from mmgcvit.config import read_config

from ..conftest import ROOT

READING = {
    *('_local_scalar_dense', 'nonzero', 'masked_select', '_unique2', 'unique_dim', 'unique_consecutive', 'equal'),
    *('bincount', 'histc'),
}
COPYING = {'cpu', 'numpy', 'tolist', '__array__'}
SMALL = {'embed_dims': 16, 'depths': (1, 1, 1, 1), 'num_heads': (1, 2, 4, 8), 'mlp_ratio': 2}


def is_mask(index):
    return index is not None and index.dtype in (torch.bool, torch.uint8)


class Operations(TorchDispatchMode):
    """Notes operations whose result the host needs to go on: numbers, and shapes that depend on data."""

    def __init__(self, note):
        super().__init__()
        self.note = note

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        is_filled = name.startswith('index_put') and args[2].numel() == 1
        by_mask = name in ('index', 'index_put', 'index_put_') and any(map(is_mask, args[1])) and not is_filled
        if name in READING or by_mask or func is torch.ops.aten.repeat_interleave.Tensor:
            self.note(name)
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


class Waits(Hook):
    """Counts by lines, in iterations after the second and before the last, of which none is logged."""

    priority = 'HIGHEST'

    def __init__(self):
        self.found, self.iteration, self.counted = Counter(), 0, set()

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.iteration = runner.iter
        self.last = runner.max_iters - 1

    def note(self, what):
        if not 2 <= self.iteration < self.last:
            return
        self.counted.add(self.iteration)
        frame = sys._getframe(1)
        while frame and ('/torch/' in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
            frame = frame.f_back
        path = frame.f_code.co_filename.removeprefix(f'{ROOT}/').rpartition('site-packages/')[2]
        self.found[f'{path}:{frame.f_lineno} {frame.f_code.co_name}: {what}'] += 1

    @contextmanager
    def watching(self):
        with Copies(self.note), Operations(self.note):
            yield self


def sample(task, shape=(64, 96)):
    """An image and its truth, as a host's pipeline ends with."""
    info = {'img_path': 'a.jpg', 'img_shape': shape, 'ori_shape': shape, 'pad_shape': shape, 'scale_factor': (1.0, 1.0)}
    image = torch.randint(0, 256, (3, *shape), dtype=torch.uint8)
    if task == 'cls':
        from mmpretrain.structures import DataSample

        return {'inputs': image, 'data_samples': DataSample(metainfo=info).set_gt_label(1)}
    if task == 'seg':
        from mmseg.structures import SegDataSample

        truth = SegDataSample(metainfo=info, gt_sem_seg=PixelData(data=torch.randint(0, 9, (1, *shape))))
        return {'inputs': image, 'data_samples': truth}
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks

    boxes = HorizontalBoxes(torch.tensor([[4.0, 4.0, 40.0, 44.0], [30.0, 10.0, 80.0, 60.0]]))
    masks = BitmapMasks(np.ones((2, *shape), np.uint8), *shape)
    truth = DetDataSample(metainfo=info)
    truth.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([1, 2]), masks=masks)
    truth.ignored_instances = InstanceData(bboxes=HorizontalBoxes(torch.zeros(0, 4)), labels=torch.zeros(0).long())
    return {'inputs': image, 'data_samples': truth}


def make_small(model):
    """Give a config's model a narrow GC ViT, and heads that fit it."""
    model.backbone.arch = SMALL
    widths = [16, 32, 64, 128]
    for part, in_channels in (('neck', widths), ('head', 128), ('decode_head', widths), ('auxiliary_head', 64)):
        if 'in_channels' in (model.get(part) or {}):
            model[part].in_channels = in_channels
        if 'decode_head' in model and part in model:
            model[part].channels = 16


def waits_of(name, work_dir, iterations=4):
    """The waits of a config's training, with a small backbone and all hooks."""
    cfg = read_config(ROOT / 'configs' / f'{name}.py')
    task = {'mmdet': 'det', 'mmseg': 'seg', 'mmpretrain': 'cls'}[cfg.default_scope]
    if cfg.model.backbone.type == 'mmgcvit.GCViT':
        make_small(cfg.model)
    cfg.model.backbone.init_cfg = None
    runner = Runner(
        model=cfg.model,
        data_preprocessor=cfg.get('data_preprocessor'),
        work_dir=str(work_dir),
        train_dataloader={
            'dataset': [sample(task) for _ in range(2 * iterations)],
            'batch_size': 2,
            'num_workers': 0,
            'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        },
        train_cfg={'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 1},
        optim_wrapper=cfg.optim_wrapper,
        custom_hooks=cfg.get('custom_hooks'),
        default_hooks=cfg.default_hooks,
        default_scope=cfg.default_scope,
        experiment_name=str(work_dir).replace('/', '_'),
        log_level='ERROR',
    )
    waits = Waits()
    runner.register_hook(waits)
    with waits.watching():
        runner.train()
    return waits
