"""Try every step of a config's training and testing on a few small images.

:func:`shrink` scales a config down in place and replaces missing data with a miniature dataset. :func:`run` then
builds, trains, saves, resumes, validates and tests the model with mmengine's Runner, in this process.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from ..checkpoints.latest import read_last_checkpoint_path
from ..config import LOADERS, enter_scope, get_type_name, iter_dicts, iter_unwrapped_datasets, scale_sizes
from ..datasets import miniature
from ..datasets.checks.paths import find_format
from ..datasets.classes import list_imagenet_folders, make_coco_categories
from ..errors import UserError, format_count
from ..inference.class_names import collect_dataset_metas

ITERATIONS, BATCH_SIZE, NUM_EVAL_BATCHES = 2, 2, 3  # the batch size is for training
MIN_SIDE = 64  # in pixels; image sides are not scaled below it
# Maximum numbers of boxes and queries per image. DINO chooses its queries among encoder tokens: 85 in a 64 px image.
MAX_VALUES = {'nms_pre': 200, 'max_per_img': 50, 'num_queries': 50}
MAX_SAMPLED_BOXES = 32


def shrink(cfg: Config, folder: Path, divisor: int) -> list[str]:
    """Scale a config down in place: two iterations of two images, small images, few boxes, no pretrained weights.

    Args:
        cfg: Any config of mmdet, mmseg or mmpretrain.
        folder: The folder for the miniature data (``data``) and the run (``run``).
        divisor: The number by which image sides in pixels are divided.

    Returns:
        A note for each way in which the dry run differs from a real run.

    Raises:
        UserError: The data are missing, and no miniature can be written in their format.
    """
    enter_scope(cfg)
    # val_dataloader and test_dataloader may be the same object: copy them, so that each is scaled down separately.
    for name, value in cfg.to_dict().items():
        cfg[name] = value
    notes = [use_miniature(cfg, folder / 'data')]
    for name in filter(cfg.get, LOADERS):
        batch_size, num_batches = (BATCH_SIZE, ITERATIONS) if name == 'train_dataloader' else (1, NUM_EVAL_BATCHES)
        loader = {key: value for key, value in cfg[name].items() if key not in ('prefetch_factor', 'timeout')}
        loader.update(num_workers=0, persistent_workers=False, batch_size=batch_size, num_batch_per_epoch=num_batches)
        cfg[name] = loader
    sized = [cfg[name].dataset for name in LOADERS if cfg.get(name)]
    sized += [cfg.get('data_preprocessor'), cfg.model.get('data_preprocessor'), cfg.model.get('test_cfg')]
    scale_sizes(sized, lambda side: max(side // divisor, min(side, MIN_SIDE)))
    for settings in iter_dicts([cfg.model]):
        settings.update({key: min(settings[key], limit) for key, limit in MAX_VALUES.items() if key in settings})
        if isinstance(settings.get('score_thr'), float):
            settings['score_thr'] = 0.0  # scores of an untrained detector are low, and metrics need predictions
        if 'pos_fraction' in settings:
            settings['num'] = min(settings['num'], MAX_SAMPLED_BOXES)
        init_cfg = settings.get('init_cfg')
        init_cfgs = [init for init in (init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]) if init]
        if any(init['type'] == 'Pretrained' for init in init_cfgs):
            settings['init_cfg'] = [init for init in init_cfgs if init['type'] != 'Pretrained'] or None
            notes.append('pretrained weights are not loaded')
    cfg.load_from, cfg.resume, cfg.work_dir, cfg.log_level = None, False, str(folder / 'run'), 'WARNING'
    return [*notes, *shorten_schedule(cfg)]


def shorten_schedule(cfg: Config) -> list[str]:
    """Set the config to train two iterations, then save a checkpoint. Return notes on what the dry run leaves out."""
    notes, by_epoch = [], 'max_epochs' in cfg.train_cfg
    for scheduler in cfg.get('param_scheduler') or []:
        # By default `end` is the end of training. mmengine raises an error if a scheduler begins after it.
        length = cfg.train_cfg.get('max_epochs', cfg.train_cfg.get('max_iters'))
        same_unit = scheduler.get('by_epoch', True) == by_epoch
        scheduler.setdefault('end', length if same_unit else scheduler.get('begin', 0) + 1000 * length)
    cfg.train_cfg.pop('dynamic_intervals', None)
    set_train_length(cfg, 1)
    hooks = cfg.setdefault('default_hooks', ConfigDict())
    hooks.setdefault('checkpoint', ConfigDict(type='CheckpointHook', by_epoch=by_epoch))
    hooks.checkpoint.update(interval=1 if by_epoch else ITERATIONS, save_begin=0)
    cfg.visualizer = {**(cfg.get('visualizer') or {'type': 'Visualizer'}), 'vis_backends': None}
    if cfg.pop('compile', None):
        notes.append('NOT tried: compile')
    optim_type = str(cfg.optim_wrapper.get('type', 'OptimWrapper'))
    if optim_type != 'OptimWrapper' and not torch.cuda.is_available():
        keys = cfg.optim_wrapper.keys() - {'dtype', 'loss_scale'}
        cfg.optim_wrapper = {**{key: cfg.optim_wrapper[key] for key in keys}, 'type': 'OptimWrapper'}
        notes.append(f'NOT tried: {optim_type}; float32 instead')
    return notes


def set_train_length(cfg: Config, rounds: int) -> None:
    """Set the length of training to ``rounds`` epochs of two iterations, without validation."""
    by_epoch = 'max_epochs' in cfg.train_cfg
    length = rounds if by_epoch else rounds * ITERATIONS
    cfg.train_cfg.update({'max_epochs' if by_epoch else 'max_iters': length, 'val_begin': length + 1})


def use_miniature(cfg: Config, root: Path) -> str:
    """If the config's data are missing, write and use a miniature with the config's classes. Return a note."""
    datasets = [
        ('train' if name == 'train_dataloader' else 'val', dataset)
        for name in LOADERS
        if cfg.get(name)
        for dataset in iter_unwrapped_datasets(cfg[name].dataset)
    ]
    paths = [Path(dataset.get('data_root') or '', dataset.get('ann_file') or '') for _, dataset in datasets]
    missing = [path for path in paths if not path.exists()]
    if not missing:
        return "data: the first images of the config's datasets"
    for split, dataset in datasets:
        is_cifar = get_type_name(dataset).startswith('CIFAR')
        data_format = 'imagenet' if is_cifar else find_format(dataset)
        if data_format not in ('coco', 'ade20k', 'imagenet'):
            raise UserError(
                f'{missing[0]} does not exist, and mmgcvit cannot write sample data for {dataset.type}. It writes them '
                'only in the formats of COCO, ADE20K, ImageNet and CIFAR. Put your data at that path, or change the '
                'path in the config'
            )
        classes = collect_dataset_metas({}, dataset)[1].get('classes')
        if is_cifar:
            # Use class folders instead of CIFAR's files, whose checksums mmpretrain verifies.
            pipeline = [{'type': 'LoadImageFromFile'}, {'type': 'Resize', 'scale': 32}, *dataset.pipeline]
            dataset.clear()
            dataset.update(type='CustomDataset', metainfo={'classes': classes}, pipeline=pipeline)
        num_classes = cfg.model.get('head', {}).get('num_classes', 1)
        write_data(dataset, data_format, split, root, classes or ['object'] * num_classes)
    for evaluator in iter_dicts([cfg.get('val_evaluator'), cfg.get('test_evaluator')]):
        if evaluator.get('ann_file'):
            evaluator['ann_file'] = f'{root}/coco/annotations/instances_val2017.json'
    return f'data: sample images of scanned digits in {root}, because {missing[0]} does not exist'


def write_data(dataset: ConfigDict, data_format: str, split: str, root: Path, classes: Sequence[str]) -> None:
    """Write a miniature in ``root``, unless it exists, and set the paths of a dataset's split in its config."""
    if data_format == 'coco':
        folder = root / 'coco'
        if not folder.exists():
            miniature.write_miniature_coco(folder, make_coco_categories(classes))
        dataset.update(data_root=f'{folder}/', ann_file=f'annotations/instances_{split}2017.json')
        # Do not use update: ConfigDict.update merges dicts and would keep other prefixes.
        dataset.data_prefix = {'img': f'{split}2017/'}
    elif data_format == 'ade20k':
        folder, subset = root / 'ADEChallengeData2016', {'train': 'training', 'val': 'validation'}[split]
        if not folder.exists():
            miniature.write_miniature_ade20k(folder, max(len(classes) - 1, 1))
        dataset.update(data_root=str(folder), ann_file='', img_suffix='.jpg', seg_map_suffix='.png')
        dataset.data_prefix = {'img_path': f'images/{subset}', 'seg_map_path': f'annotations/{subset}'}
    else:
        folder, numbers = root / 'imagenet', range(len(classes))
        if not folder.exists():
            names = list_imagenet_folders() if len(classes) == 1000 else [f'class_{number:03d}' for number in numbers]
            per_folder = math.ceil(ITERATIONS * BATCH_SIZE / len(names))
            miniature.write_miniature_imagenet(folder, names, per_folder=per_folder)
        dataset.update(data_root=str(folder), ann_file='', data_prefix=split)
        dataset.pop('split', None)


class WatchTrainingHook(Hook):
    """Record the number of the first iteration, the initial weights, the losses, and the parameters with a gradient."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.had_gradient: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        self.start, self.weights = runner.iter, copy_weights(runner.model)
        for name, weight in runner.model.named_parameters():
            if weight.requires_grad:
                weight.register_post_accumulate_grad_hook(lambda _, name=name: self.had_gradient.add(name))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.losses.append(outputs['loss'].item())


def copy_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copy the trainable parameters by name."""
    return {name: weight.detach().cpu().clone() for name, weight in model.named_parameters() if weight.requires_grad}


def run(cfg: Config, say: Callable[[str], None]) -> None:
    """Build, train, save, resume, validate and test a config that :func:`shrink` has scaled down.

    ``say`` is called with a line for each step. If a step raises an error, its line says so, and ``run`` raises it.
    """
    step = partial(report_step, say)
    with step('build') as results:
        runner = build(cfg)
        results.append(f'{sum(weight.numel() for weight in runner.model.parameters()) / 1e6:.1f} M parameters')
    with step('train') as results:
        first = train(runner, cfg)
        results.append(f'loss {", ".join(f"{loss:.3f}" for loss in first.losses)}')
        trained = copy_weights(runner.model)
        num_changed = sum(not torch.equal(trained[name], weight) for name, weight in first.weights.items())
        if not num_changed:
            raise UserError('training changed no weight. Check the learning rate')
        results.append(f'{num_changed} of {len(trained)} weights changed')
    with step('save'):
        checkpoint = read_last_checkpoint_path(Path(cfg.work_dir))
        if checkpoint is None:
            raise UserError('training saved no checkpoint. Check default_hooks.checkpoint in the config')
    with step('resume'):
        set_train_length(cfg, 2)
        cfg.load_from, cfg.resume = str(checkpoint), True
        runner = build(cfg)
        second = train(runner, cfg)
        if second.start != ITERATIONS or any(not torch.equal(second.weights[name], trained[name]) for name in trained):
            raise UserError(
                f'training resumed at iteration {second.start} instead of {ITERATIONS}, or with other weights than the '
                'saved ones'
            )
    if cfg.get('val_cfg') is not None:
        with step('validate') as results:
            results.append(format_scores(runner.val_loop.run()))
    if cfg.get('test_cfg') is not None:
        with step('test') as results:
            cfg.load_from, cfg.resume = str(read_last_checkpoint_path(Path(cfg.work_dir))), False
            results.append(format_scores(build(cfg).test()))


@contextmanager
def report_step(say: Callable[[str], None], name: str) -> Iterator[list[str]]:
    """Report a step's duration and the results that the ``with`` block appends to the yielded list, or its failure."""
    start_time, results = time.perf_counter(), []
    try:
        yield results
    except Exception:
        say(f'{name}: FAILED after {time.perf_counter() - start_time:.0f} s')
        raise
    say(f'{name}: OK ({"; ".join([f"{time.perf_counter() - start_time:.0f} s", *results])})')


def build(cfg: Config) -> Runner:
    # Runners with the same experiment name would share a log.
    cfg.experiment_name = f'dry_run_{time.time_ns()}'
    return Runner.from_cfg(deepcopy(cfg))


def train(runner: Runner, cfg: Config) -> WatchTrainingHook:
    """Train. Check that losses are finite and, unless find_unused_parameters is set, all weights had gradients."""
    watch = WatchTrainingHook()
    runner.register_hook(watch)
    runner.train()
    if len(watch.losses) != ITERATIONS or not all(map(math.isfinite, watch.losses)):
        raise UserError(
            f'the losses are {watch.losses}. Expected {ITERATIONS} finite values. Check the learning rate and the data'
        )
    unused = sorted(watch.weights.keys() - watch.had_gradient)
    if unused and not cfg.get('find_unused_parameters'):
        raise UserError(
            f'{format_count(len(unused), "parameter")} had no gradient, for example {unused[0]}. Training on several '
            'GPUs would fail. Remove unused stages from out_indices, freeze the parameters, or set '
            'find_unused_parameters=True in the config'
        )
    return watch


def format_scores(metrics: dict[str, float]) -> str:
    return ', '.join(f'{name} {value:.4g}' for name, value in islice(metrics.items(), 2)) or 'no score'
