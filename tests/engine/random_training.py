"""Train a model whose samples and layers use every random number generator, and compare runs'
checkpoints.
"""

import random
import signal
from itertools import count
from multiprocessing import active_children

import numpy as np
import torch
from mmcv.cnn.bricks import DropPath
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mmgcvit.engine.hooks import signals
from mmgcvit.engine.interrupts import handle_signals

from ..toy import last

COUNTER = count()
IMAGES = 11
EPOCHS = {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 3}
ITERATIONS = {'type': 'mmgcvit.IterBasedTrainLoop', 'max_iters': 11}
PARTS = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')  # of a checkpoint


@DATASETS.register_module()
class RandomImages(Dataset):
    """Images that consist of their index and of a number from each of three random number
    generators.
    """

    def __init__(self):
        self.metainfo = {'classes': ('one', 'two')}

    def __len__(self):
        return IMAGES

    def __getitem__(self, index):
        numbers = [random.random(), np.random.rand(), torch.rand(()).item()]
        return {'inputs': torch.tensor([float(index), *numbers]), 'labels': index % 2}


@MODELS.register_module()
class RandomModel(BaseModel):
    """A model with mixup, drop path and batch normalisation, whose running statistics depend on all
    its inputs.
    """

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
        self.drop_path = DropPath(0.5)

    def forward(self, inputs, labels, mode='tensor'):
        images = torch.stack(list(inputs))
        weight = np.random.beta(0.8, 0.8)
        images = weight * images + (1 - weight) * images[torch.randperm(len(images))]
        scores = self.drop_path(self.layers(images)) * random.random()
        if mode != 'loss':
            return list(scores)
        return {'loss': nn.functional.cross_entropy(scores, torch.as_tensor(labels))}


class GivenScore(BaseMetric):
    """A metric whose score at each validation is what a function returns."""

    def __init__(self, get_score):
        super().__init__()
        self.get_score = get_score

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {'toy/mAP': self.get_score()}


class SignalHook(Hook):
    """Send this process signals in an iteration, after it, or while the next data are loaded."""

    priority = 'VERY_HIGH'

    def __init__(self, iteration, number=signal.SIGINT, moment='iteration'):
        self.iteration, self.number, self.moment = iteration, number, moment

    def before_train_iter(self, runner, **_):
        if runner.iter + 1 != self.iteration or self.moment in ('end', 'wait'):
            return
        signal.raise_signal(self.number)
        if self.moment == 'dead workers':
            for worker in active_children():
                worker.kill()
                worker.join()

    def after_train_iter(self, runner, **_):
        if runner.iter + 1 != self.iteration:
            return
        if self.moment == 'end':
            signal.raise_signal(self.number)
            signal.raise_signal(self.number)  # from the launcher, too
        elif self.moment == 'wait':
            runner.train_dataloader.dataset.number = self.number


def make_config(
    work_dir,
    loop,
    sampler='DefaultSampler',
    workers=0,
    accumulated=1,
    images=3,
    saves=1,
    get_score=None,
    **options,
):
    """Return a config: negative ``workers`` persist, and ``saves`` is a number of iterations, or
    None for epochs. With ``get_score``, the run validates: the score is what it returns.
    """
    checkpoint = {
        'type': 'mmgcvit.AtomicCheckpointHook',
        'max_keep_ckpts': 1,
        'interval': saves or 1,
        'by_epoch': saves is None,
        'save_best': 'toy/mAP',
        'rule': 'greater',
    }
    warm_up = {'type': 'LinearLR', 'start_factor': 0.5, 'by_epoch': False, 'end': 5}
    settings = {
        'default_scope': 'mmengine',
        'work_dir': str(work_dir),
        'log_level': 'ERROR',
        'experiment_name': f'random{next(COUNTER)}',
        'model': {'type': 'RandomModel'},
        'train_dataloader': {
            'num_workers': abs(workers),
            'persistent_workers': workers < 0,
            'batch_size': images,
            'dataset': {'type': 'RandomImages'},
            'sampler': {'type': sampler, 'shuffle': True},
        },
        'train_cfg': loop,
        'optim_wrapper': {
            'optimizer': {'type': 'AdamW', 'lr': 1e-2},
            'accumulative_counts': accumulated,
        },
        'param_scheduler': [warm_up, {'type': 'StepLR', 'step_size': 1, 'gamma': 0.5}],
        'default_hooks': {
            'checkpoint': checkpoint,
            'exact_resume': {'type': 'mmgcvit.ExactResumeHook'},
        },
        'custom_hooks': [{'type': 'EMAHook'}],
    }
    if get_score is not None:
        settings['val_cfg'] = {}
        settings['val_evaluator'] = Evaluator([GivenScore(get_score)])
        settings['val_dataloader'] = {
            'batch_size': 6,
            'dataset': {'type': 'RandomImages'},
            'sampler': {'type': 'DefaultSampler'},
        }
    return Config(settings | options)


def run(cfg, *hooks):
    """Train until a hook sends a signal or to the end. As in a new process, the random number
    generators start in any state.

    Return the signal, or None.
    """
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(next(COUNTER))
    runner = Runner.from_cfg(cfg)
    runner.register_hook(signals.SignalHook())
    for hook in hooks:
        runner.register_hook(hook)
    try:
        with handle_signals():
            runner.train()
    except KeyboardInterrupt as interrupted:
        return interrupted.args[0]
    finally:
        # If Python collects the dataloader during a later run, torch waits 5 s for each worker.
        runner.train_loop.dataloader = runner.train_loop.dataloader_iterator = None


def read_last_state(work_dir, parts=PARTS):
    """Read weights, EMA weights, optimizer and LR scheduler states from the last checkpoint of a
    work dir.
    """
    content = last(work_dir)
    return {name: content[name] for name in parts}


def assert_same(actual, expected):
    """Require that two states are equal, bit for bit."""
    if isinstance(expected, torch.Tensor):
        assert torch.equal(actual, expected)
    elif isinstance(expected, dict):
        assert actual.keys() == expected.keys()
        for name in expected:
            assert_same(actual[name], expected[name])
    elif isinstance(expected, list | tuple):
        assert_same(dict(enumerate(actual)), dict(enumerate(expected)))
    else:
        assert actual == expected
