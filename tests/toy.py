"""A tiny model, dataset and metric; commands that train it in processes of their own; and an object
that runs a command.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from torch import nn
from torch.utils.data import Dataset

from mmgcvit.checkpoints.reading import read_checkpoint

from .fork_server import reserve_port
from .tools.commands import call

CONFIG = Path(__file__).with_name('toy_config.py')
# Settings that make iterations of the epochs.
ITERATIONS = (
    'train_cfg._delete_=True',
    'train_cfg.type=mmgcvit.IterBasedTrainLoop',
    'train_cfg.max_iters=6',
    'train_cfg.val_interval=2',
    'default_hooks.checkpoint.by_epoch=False',
    'default_hooks.checkpoint.interval=2',
    'train_dataloader.sampler.type=InfiniteSampler',
    'default_hooks.logger.type=LoggerHook',
    'default_hooks.logger.log_metric_by_epoch=False',
)


@MODELS.register_module()
class ToyClassifier(BaseModel):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = MODELS.build(backbone)
        self.head = nn.Linear(32, 3)

    def forward(self, inputs, labels=None, mode='tensor'):
        scores = self.head(self.backbone(torch.stack(list(inputs)))[-1].mean((2, 3)))
        if mode == 'loss':
            return {'loss': nn.functional.cross_entropy(scores, torch.as_tensor(labels))}
        return list(scores)


@DATASETS.register_module()
class ToyImages(Dataset):
    def __init__(self):
        self.metainfo = {'classes': ('one', 'two', 'three')}

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return {'inputs': torch.full((3, 32, 32), float(index)), 'labels': index}


@METRICS.register_module()
class ChangingScore(BaseMetric):
    """A score that goes up and down and depends on the weights only."""

    def process(self, data_batch, data_samples):
        self.results += [float(sample.double().sum()) for sample in data_samples]

    def compute_metrics(self, results):
        return {'score': sum(results) * 1e4 % 1}


def train(work_dir, *options, settings=(), config=CONFIG, folder=None, **environment):
    """Train the toy model. Return the output."""
    command = ['-m', 'mmgcvit', 'train', config, '--work-dir', work_dir, *options]
    if settings:
        command += ['--cfg-options', *settings]
    return call('', *command, folder=folder, **environment)


def train_in_two(work_dir, *options, **more):
    """Train the toy model on two ranks, with the environment of torch's launcher, which is tested
    elsewhere.
    """
    more |= {'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1'}

    def run(rank):
        ranks = {'RANK': rank, 'LOCAL_RANK': rank, 'MASTER_PORT': str(port)}
        return train(work_dir, '--launcher', 'pytorch', *options, **ranks, **more)

    with reserve_port() as port, ThreadPoolExecutor() as pool:
        return list(pool.map(run, '01'))


def names(folder):
    """Return the names of the checkpoints, whole or not, and of last_checkpoint."""
    files = [path.name for path in folder.iterdir() if path.is_file()]
    return sorted(name for name in files if name.endswith(('.pth', '.unfinished', 'checkpoint')))


def last(folder):
    """Read the checkpoint that last_checkpoint names."""
    return read_checkpoint((folder / 'last_checkpoint').read_text())


class RunsACommand:
    """An object whose unpickling creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


def write_checkpoints(folder):
    """Write three checkpoints, the second of which last_checkpoint names."""
    for epoch in (1, 2, 10):
        content = {
            'state_dict': {'weight': torch.ones(1)},
            'optimizer': {},
            'meta': {'iter': epoch},
        }
        torch.save(content, path := folder / f'epoch_{epoch}.pth')
        os.utime(path, (epoch, epoch))
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_2.pth'))
