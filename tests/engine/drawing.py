"""A run in which everything draws at random: samples, batches and layers, each by every generator it can have.

And what two runs' checkpoints differ in.
"""

import random
from itertools import count

import numpy as np
import torch
from mmcv.cnn.bricks import DropPath
from mmengine.config import Config
from mmengine.dist import barrier
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mmgcvit.checkpoints import read_checkpoint

NUMBERS = count()
IMAGES = 11


@DATASETS.register_module()
class DrawingImages(Dataset):
    """Images that are what their index and the three generators give."""

    def __init__(self):
        self.metainfo = {'classes': ('one', 'two')}

    def __len__(self):
        return IMAGES

    def __getitem__(self, index):
        drawn = [random.random(), np.random.rand(), torch.rand(()).item()]
        return {'inputs': torch.tensor([float(index), *drawn]), 'labels': index % 2}


@MODELS.register_module()
class DrawingModel(BaseModel):
    """Mixes each batch, drops paths, and normalizes: the statistics keep what it was given."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
        self.drop_path = DropPath(0.5)

    def forward(self, inputs, labels, mode='tensor'):
        images = torch.stack(list(inputs))
        share = np.random.beta(0.8, 0.8)
        images = share * images + (1 - share) * images[torch.randperm(len(images))]
        scores = self.drop_path(self.layers(images)) * random.random()
        if mode != 'loss':
            return list(scores)
        return {'loss': nn.functional.cross_entropy(scores, torch.as_tensor(labels))}


class StoppedError(Exception):
    """What a test ends a run with."""


class StopHook(Hook):
    """Ends a run after an iteration, once its checkpoint is saved: of the epoch if those are saved by epochs."""

    priority = 'LOWEST'

    def __init__(self, after, by_epoch):
        self.after, self.by_epoch = after, by_epoch

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if not self.by_epoch and runner.iter + 1 == self.after:
            raise StoppedError

    def after_train_epoch(self, runner):
        if self.by_epoch and runner.iter == self.after:
            raise StoppedError


def config(work_dir, loop, sampler='DefaultSampler', workers=0, accumulated=1, images=3, saves=1, **options):
    """A run's config: ``loop`` is ``train_cfg``; workers below 0 persist; ``saves`` are iterations, None for epochs."""
    saving = {'interval': 1} if saves is None else {'interval': saves, 'by_epoch': False}
    loader = {'num_workers': abs(workers), 'persistent_workers': workers < 0, 'batch_size': images}
    return Config(
        {
            'default_scope': 'mmengine',
            'work_dir': str(work_dir),
            'log_level': 'ERROR',
            'experiment_name': f'drawing{next(NUMBERS)}',
            'model': {'type': 'DrawingModel'},
            'train_dataloader': {
                'dataset': {'type': 'DrawingImages'},
                'sampler': {'type': sampler, 'shuffle': True},
                **loader,
            },
            'train_cfg': loop,
            'optim_wrapper': {
                'type': 'OptimWrapper',
                'optimizer': {'type': 'AdamW', 'lr': 1e-2},
                'accumulative_counts': accumulated,
            },
            'param_scheduler': [
                {'type': 'LinearLR', 'start_factor': 0.5, 'by_epoch': False, 'end': 5},
                {'type': 'StepLR', 'step_size': 1, 'gamma': 0.5, 'by_epoch': True},
            ],
            'default_hooks': {
                'checkpoint': {'type': 'mmgcvit.AtomicCheckpointHook', 'max_keep_ckpts': 1, **saving},
                'exact_resume': {'type': 'mmgcvit.ExactResumeHook'},
            },
            'custom_hooks': [{'type': 'EMAHook'}],
            **options,
        }
    )


def validating(*metrics, loop='val'):
    """Of a run's config, what has it validate, or test, by some metrics."""
    loader = {'batch_size': 6, 'dataset': {'type': 'DrawingImages'}, 'sampler': {'type': 'DefaultSampler'}}
    return {f'{loop}_cfg': {}, f'{loop}_evaluator': Evaluator([*metrics]), f'{loop}_dataloader': loader}


def run(cfg, stop=None, hook=None):
    """Run a config, to an iteration or to the end; the generators are in some state before, as in a new process."""
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(next(NUMBERS))
    runner = Runner.from_cfg(cfg)
    if hook is not None:
        runner.register_hook(hook)
    if stop is not None:
        runner.register_hook(StopHook(stop, cfg.default_hooks.checkpoint.get('by_epoch', True)))
    try:
        runner.train()
    except StoppedError:
        barrier()
    else:
        assert stop is None, f'it ended before iteration {stop}'
    finally:
        # Torch waits for workers, 5 s for each, if Python finds their loader among the garbage of a later run.
        runner.train_loop.dataloader = runner.train_loop.dataloader_iterator = None


def last_state(work_dir, parts=('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')):
    """Weights, their average, and the states of optimizer and schedules in the newest checkpoint of a work folder."""
    content = read_checkpoint((work_dir / 'last_checkpoint').read_text().strip())
    return {name: content[name] for name in parts}


def difference(found, expected, name='state'):
    """The first place where two states are not the same to the last bit, None if there is none."""
    if isinstance(expected, torch.Tensor):
        is_same = torch.equal(found, expected)
        return None if is_same else f'{name} by up to {(found - expected).abs().max():.1e}'
    if isinstance(expected, dict | list | tuple):
        places = list(expected) if isinstance(expected, dict) else range(len(expected))
        if len(found) != len(expected):
            return f'{name} in its length'
        inside = (difference(found[place], expected[place], f'{name}.{place}') for place in places)
        return next(filter(None, inside), None)
    return None if found == expected else f'{name}: {found} instead of {expected}'
