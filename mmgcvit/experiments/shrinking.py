"""A config made small for a dry run: few images, few pixels, few iterations, no network.

:func:`prepare` is the whole of it. What one process without a GPU cannot do is taken out, and said.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict

from ..datasets.checks.sources import class_of, kind_of, leaf_datasets, type_name
from ..datasets.classes import coco_categories, imagenet_folders
from ..datasets.miniature import (
    write_miniature_ade20k,
    write_miniature_coco,
    write_miniature_dota,
    write_miniature_imagenet,
    write_miniature_panoptic,
)
from ..errors import UserError
from ..hosts.configs import dicts_in, enter_scope, settings_in
from ..models.layers.arguments import resolve_variant
from ..registry import MODELS

OBSERVER = 'mmgcvit.experiments.rehearsal'
LOADERS = {'train_dataloader': 'train', 'val_dataloader': 'val', 'test_dataloader': 'val'}
ITERATIONS = 2
BATCH_SIZE = 2
NUM_TESTED = 3
MOST_CLASSES = 1000
# Laid out as ImageNet, with other folders.
OTHER_FOLDERS = 'ImageNetV2'
REMOTE = ('backend_args', 'file_client_args')
SMALLEST = 64
# Arguments of the hosts' transforms, preprocessors and test settings that hold pixels, if they are whole numbers.
IN_PIXELS = ('scale', 'scales', 'crop_size', 'size', 'img_scale', 'img_scales', 'max_size', 'stride')
# What detectors choose from and keep, per image: the arguments that say how many, and how many are enough here.
AT_MOST = {'nms_pre': 200, 'max_per_img': 50}
SAMPLED_AT_MOST = 32
# Transformers choose their queries among the tokens, of which an image of 64 px has 85.
QUERIES_AT_MOST = 50
LOCAL_BACKENDS = ('LocalVisBackend', 'DetLocalVisBackend', 'SegLocalVisBackend')


@dataclass
class Options:
    """What of a config is made small."""

    own_data: bool = False  # use the first images of the config's own data, not a miniature
    depth: int | None = None  # blocks of each stage of the backbone at most; None leaves them
    shrink: int = 8  # what images' sides are divided by
    keep_weights: bool = False  # load pretrained weights as the config says


def prepare(cfg: Config, folder: Path, options: Options) -> list[str]:
    """Make a whole config small, in place, and write the data that it then reads; say what was changed.

    Data go to ``<folder>/data``, what the run writes to ``<folder>/run``.
    """
    # What files name twice becomes two, which are made small once each.
    for name, value in cfg.to_dict().items():
        cfg[name] = value
    notes = [] if options.own_data else use_miniature_data(cfg, folder / 'data')
    notes += limit_data(cfg)
    notes += shrink_images(cfg, options.shrink) + limit_boxes(cfg)
    if options.depth is not None:
        notes += limit_depth(cfg, options.depth)
    if not options.keep_weights:
        notes += leave_weights_out(cfg)
    notes += shorten(cfg)
    notes += fit_machine(cfg)
    observe(cfg)
    cfg.work_dir = str(folder / 'run')
    return notes


def as_list(value: Any) -> list[Any]:
    """A list as it is, nothing as an empty one, anything else as the only entry."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def default_of(function: Callable | None, argument: str) -> Any:
    """What a function or class takes where an argument is left out; None where it has no such argument or default."""
    parameter = inspect.signature(function).parameters.get(argument) if function else None
    return None if parameter is None or parameter.default is inspect.Parameter.empty else parameter.default


def limit_data(cfg: Config) -> list[str]:
    """Load few images in small batches, in the process itself."""
    for name in filter(cfg.get, LOADERS):
        training = name == 'train_dataloader'
        loader = {key: value for key, value in cfg[name].items() if key not in ('prefetch_factor', 'timeout')}
        loader.update(num_workers=0, persistent_workers=False, batch_size=BATCH_SIZE if training else 1)
        cfg[name] = {**loader, 'num_batch_per_epoch': ITERATIONS if training else NUM_TESTED}
    return [f'{NUM_TESTED} images validated and tested, no worker processes']


def use_miniature_data(cfg: Config, root: Path) -> list[str]:
    """Write miniature data with the config's classes, and have the config read that, from the disk."""
    enter_scope(cfg)
    found: dict[str, list[tuple[str, ConfigDict]]] = {}
    for name in filter(cfg.get, LOADERS):
        for dataset in leaf_datasets(cfg[name].dataset):
            found.setdefault(miniature_of(dataset), []).append((LOADERS[name], dataset))
    notes = [MAKERS[kind](cfg, members, root) for kind, members in sorted(found.items())]
    for name in ('val_evaluator', 'test_evaluator'):
        for evaluator in as_list(cfg.get(name)):
            annotations = root / 'coco' / 'annotations'
            if evaluator.get('seg_prefix'):
                evaluator.update(
                    ann_file=f'{annotations}/panoptic_val2017.json', seg_prefix=f'{annotations}/panoptic_val2017'
                )
            elif evaluator.get('ann_file'):
                evaluator.ann_file = f'{annotations}/instances_val2017.json'
    evaluators = cfg.get('val_evaluator'), cfg.get('test_evaluator')
    for settings in dicts_in(*evaluators, *(cfg[name].dataset for name in LOADERS if cfg.get(name))):
        settings.update(dict.fromkeys(settings.keys() & set(REMOTE)))
    return notes


def miniature_of(dataset: ConfigDict) -> str:
    """The kind of data that stands in for what a data set reads."""
    kind = kind_of(dataset)
    if kind is None or OTHER_FOLDERS in [base.__name__ for base in inspect.getmro(class_of(dataset))]:
        raise UserError(
            f'there is no miniature of what {type_name(dataset)} reads, only of data laid out as COCO, ADE20K, '
            'ImageNet, CIFAR or DOTA; --own-data takes the first images of the data that the config names'
        )
    return kind


def classes_of(dataset: ConfigDict) -> tuple[str, ...] | None:
    """The classes that a data set's ``metainfo`` names, or else its own; None where only the data tells."""
    own = getattr(class_of(dataset), 'METAINFO', None) or {}
    classes = (dataset.get('metainfo') or {}).get('classes') or own.get('classes')
    if isinstance(classes, str):
        return tuple(Path(classes).read_text().split('\n')) if Path(classes).is_file() else (classes,)
    return tuple(classes) if classes else None


def shared_classes(members: Sequence[tuple[str, ConfigDict]]) -> tuple[str, ...] | None:
    """The classes of several data sets, which must be the same: ``metainfo`` belongs to each data set."""
    first, *_ = classes = [classes_of(dataset) for _, dataset in members]
    for (split, dataset), other in zip(members, classes, strict=True):
        if other != first:
            raise UserError(
                f"the {split} data set ({type_name(dataset)}) has {described(other)}, the first one's are "
                f'{described(first)}; give every data set the same metainfo=dict(classes=...)'
            )
    return first


def described(classes: Sequence[str] | None) -> str:
    """How many classes, and the first of them."""
    return f'{len(classes)} classes ({", ".join(classes[:3])}, ...)' if classes else 'no classes'


def other_heads(cfg: Config, num_classes: int) -> str:
    """A warning where heads have another number of classes than the data; a single one is "object or not"."""
    numbers = {number for place, number in settings_in(cfg.model, 'model') if place.endswith('.num_classes')}
    others = sorted(numbers - {1, num_classes})
    return f'\n  WARNING: num_classes of the model is {", ".join(map(str, others))}' if others else ''


def use_coco(cfg: Config, members: Sequence[tuple[str, ConfigDict]], root: Path) -> str:
    """Detection and instance segmentation."""
    classes = shared_classes(members) or ('object',)
    write_miniature_coco(root / 'coco', coco_categories(classes))
    for split, dataset in members:
        dataset.update(data_root=f'{root / "coco"}/', ann_file=f'annotations/instances_{split}2017.json')
        # An update would leave other prefixes, as that of segments.
        dataset.data_prefix = {'img': f'{split}2017/'}
        if 'bbox_file' in dataset:  # boxes that a detector has found
            dataset.bbox_file = None
    return f'data: miniature COCO with {described(classes)} at {root / "coco"}{other_heads(cfg, len(classes))}'


def use_dota(cfg: Config, members: Sequence[tuple[str, ConfigDict]], root: Path) -> str:
    """Boxes at angles."""
    classes, folder = shared_classes(members), root / 'dota'
    write_miniature_dota(folder, classes)
    for split, dataset in members:
        dataset.update(data_root=f'{folder}/', ann_file=f'{split}/', img_suffix='jpg')
        dataset.data_prefix = {'img_path': f'{split}2017/'}
    return f'data: miniature DOTA with {described(classes)} at {folder}{other_heads(cfg, len(classes))}'


def use_panoptic(cfg: Config, members: Sequence[tuple[str, ConfigDict]], root: Path) -> str:
    """Panoptic segmentation."""
    classes, folder = shared_classes(members), root / 'coco'
    _, first = members[0]
    info = {**class_of(first).METAINFO, **(first.get('metainfo') or {})}
    of_kind = {True: [], False: []}
    for category in coco_categories(classes):
        of_kind[category['name'] in info['thing_classes']].append(category)
    write_miniature_coco(folder, of_kind[True])
    write_miniature_panoptic(folder, of_kind[False])
    for split, dataset in members:
        segments = f'annotations/panoptic_{split}2017'
        dataset.update(data_root=f'{folder}/', ann_file=f'{segments}.json')
        dataset.data_prefix = {'img': f'{split}2017/', 'seg': f'{segments}/'}
    return f'data: miniature COCO with panoptic annotations, {described(classes)}, at {folder}'


def use_ade20k(cfg: Config, members: Sequence[tuple[str, ConfigDict]], root: Path) -> str:
    """Semantic segmentation."""
    classes = shared_classes(members) or ('background', 'object')
    folder = root / 'ADEChallengeData2016'
    # Without "not labelled" the labels begin at 0.
    reduced = [
        dataset.get('reduce_zero_label', default_of(class_of(dataset), 'reduce_zero_label')) for _, dataset in members
    ]
    write_miniature_ade20k(folder, max(len(classes) if all(reduced) else len(classes) - 1, 1))
    for split, dataset in members:
        place = {'train': 'training', 'val': 'validation'}[split]
        dataset.update(data_root=str(folder), ann_file='', img_suffix='.jpg', seg_map_suffix='.png')
        dataset.data_prefix = {'img_path': f'images/{place}', 'seg_map_path': f'annotations/{place}'}
    return f'data: miniature ADE20K with {described(classes)} at {folder}{other_heads(cfg, len(classes))}'


def use_imagenet(cfg: Config, members: Sequence[tuple[str, ConfigDict]], root: Path) -> str:
    """Classification."""
    classes = shared_classes(members)
    num_classes = len(classes) if classes else cfg.model.head.num_classes
    if num_classes > MOST_CLASSES:
        raise UserError(f"there is no miniature with {num_classes} classes; --own-data takes the config's own data")
    official = num_classes == MOST_CLASSES
    folders = imagenet_folders() if official else [f'class_{number:03d}' for number in range(num_classes)]
    # As many images as the iterations take, of few classes too.
    per_folder = math.ceil(ITERATIONS * BATCH_SIZE / num_classes)
    write_miniature_imagenet(root / 'imagenet', folders, per_folder=per_folder)
    for split, dataset in members:
        dataset.update(data_root=str(root / 'imagenet'), ann_file='', data_prefix=split)
        dataset.pop('split', None)
    return f'data: miniature ImageNet with {num_classes} classes at {root / "imagenet"}'


def use_cifar(cfg: Config, members: Sequence[tuple[str, ConfigDict]], root: Path) -> str:
    """Classification of images of 32 px, read from folders: the files of CIFAR itself have fixed checksums."""
    classes = shared_classes(members)
    write_miniature_imagenet(root / 'cifar', classes)
    for split, dataset in members:
        pipeline = [{'type': 'LoadImageFromFile'}, {'type': 'Resize', 'scale': 32}, *dataset.pipeline]
        dataset.clear()
        dataset.update(type='CustomDataset', data_root=str(root / 'cifar'), data_prefix=split)
        dataset.update(metainfo={'classes': classes}, pipeline=pipeline)
    return f'data: folders of images with {described(classes)} at {root / "cifar"}; NOT rehearsed: reading CIFAR itself'


MAKERS = {
    'coco': use_coco,
    'panoptic': use_panoptic,
    'ade20k': use_ade20k,
    'imagenet': use_imagenet,
    'cifar': use_cifar,
    'dota': use_dota,
}


def shrink_images(cfg: Config, divisor: int) -> list[str]:
    """Divide all image sizes, but never below 64 px; those below are left as they are."""
    if divisor == 1:
        return []
    holders = [cfg[name].dataset for name in LOADERS if cfg.get(name)]
    holders += [cfg.get('data_preprocessor'), cfg.get('tta_pipeline')]
    for settings in dicts_in(*holders, cfg.model.get('data_preprocessor'), cfg.model.get('test_cfg')):
        settings.update({key: shrunk(settings[key], divisor) for key in settings.keys() & set(IN_PIXELS)})
    return [f'image sizes divided by {divisor}, none below {SMALLEST} px']


def shrunk(value: Any, divisor: int) -> Any:
    """A side in pixels, or all of a nested list; ratios, which are no whole numbers, stay."""
    if isinstance(value, (list, tuple)):
        return type(value)(shrunk(inner, divisor) for inner in value)
    if isinstance(value, int) and not isinstance(value, bool) and value > SMALLEST:
        return max(value // divisor, SMALLEST)
    return value


def limit_boxes(cfg: Config) -> list[str]:
    """Have detectors work on few boxes, and keep those that they are unsure of: untrained ones are sure of none."""
    found = []
    for settings in dicts_in(cfg.model.get('train_cfg'), cfg.model.get('test_cfg')):
        limited = {key: min(settings[key], most) for key, most in AT_MOST.items() if key in settings}
        if 'Sampler' in type_name(settings) and isinstance(settings.get('num'), int):
            limited['num'] = min(settings['num'], SAMPLED_AT_MOST)
        if isinstance(settings.get('score_thr'), float):
            limited['score_thr'] = 0.0
        found += [key for key in limited if limited[key] != settings[key]]
        settings.update(limited)
    if cfg.model.get('num_queries', 0) > QUERIES_AT_MOST:
        found.append('num_queries')
        cfg.model.num_queries = QUERIES_AT_MOST
    return ['fewer boxes per image, none left out for its score'] if found else []


def limit_depth(cfg: Config, depth: int) -> list[str]:
    """Keep at most so many blocks in each stage of the backbone, a host's included."""
    backbone, scope = cfg.model.backbone, cfg.get('default_scope')
    network = backbone.type
    if isinstance(network, str):
        network = MODELS.get(f'{scope}.{network}' if scope and '.' not in network else network)
    arch = backbone.get('arch')
    if hasattr(network, 'archs'):  # the depth follows from the name of an arch
        arch = vars(resolve_variant(arch or network.default_arch, network.archs))
    elif isinstance(arch, str):  # likewise in mmpretrain's table
        arch = getattr(network, 'arch_settings', {}).get(arch)
    holder = arch if isinstance(arch, dict) else backbone
    depths = holder.get('depths', default_of(network, 'depths'))
    if depths is None:
        raise UserError(
            f'--depth {depth}: how to limit {type_name(backbone)} is not known here; leave the option out, or name its '
            'settings with --cfg-options'
        )
    depths = tuple(depths)
    limited = tuple(min(blocks, depth) for blocks in depths)
    if holder is backbone:
        backbone.depths = limited
    else:
        backbone.arch = {**holder, 'depths': limited}
    return [f'backbone of {limited} blocks instead of {depths}']


def leave_weights_out(cfg: Config) -> list[str]:
    """Start from random weights: what the config loads may have to be downloaded."""
    found = []
    for settings in dicts_in(cfg.model):
        if settings.get('pretrained'):
            found.append(str(settings['pretrained']))
            settings.pretrained = None
        inits = as_list(settings.get('init_cfg'))
        kept = [init for init in inits if type_name(init) != 'Pretrained']
        if len(kept) < len(inits):
            found += [str(init.get('checkpoint')) for init in inits if init not in kept]
            settings.init_cfg = kept or None
    if cfg.get('load_from'):
        found.append(cfg.load_from)
    cfg.load_from, cfg.resume = None, False
    return [f'not loaded: {source} (--keep-weights loads it)' for source in found]


def is_iter_based(cfg: Config) -> bool:
    """Whether training is counted in iterations, not in epochs."""
    return 'max_iters' in cfg.train_cfg


def longer(cfg: Config) -> str:
    """The option that makes a shortened run go on for two more iterations."""
    return f'train_cfg.max_iters={2 * ITERATIONS}' if is_iter_based(cfg) else 'train_cfg.max_epochs=2'


def shorten(cfg: Config) -> list[str]:
    """Train for two iterations with a checkpoint at the end; validation comes with the resumed run's end."""
    keep_ends_of_schedulers(cfg)
    loop = {key: value for key, value in cfg.train_cfg.items() if key != 'dynamic_intervals'}
    if is_iter_based(cfg):
        loop.update(max_iters=ITERATIONS, val_begin=ITERATIONS + 1, val_interval=ITERATIONS)
    else:
        loop.update(max_epochs=1, val_begin=2, val_interval=1)
    cfg.train_cfg = loop
    shorten_hooks(cfg)
    note = f'{ITERATIONS} iterations of {BATCH_SIZE} images'
    accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
    if accumulated > ITERATIONS:
        cfg.optim_wrapper.accumulative_counts = ITERATIONS
        note += f', accumulated over {ITERATIONS} instead of {accumulated}'
    return [note]


def keep_ends_of_schedulers(cfg: Config) -> None:
    """Write out the ends that schedulers take from the length of the run: those of the real run.

    A warm-up longer than the rehearsal would be refused otherwise, and a decay would happen at once.
    """
    for scheduler in as_list(cfg.get('param_scheduler')):
        if scheduler.get('by_epoch', True):
            scheduler.setdefault('end', cfg.train_cfg.get('max_epochs', 1))
        elif is_iter_based(cfg):
            scheduler.setdefault('end', cfg.train_cfg.max_iters)
        else:
            # How many iterations the epochs have only the real data says.
            scheduler.setdefault('end', scheduler.get('begin', 0) + 1000 * cfg.train_cfg.max_epochs)


def shorten_hooks(cfg: Config) -> None:
    """Log every iteration, save after the last, average weights within the few, and end where one is not finite."""
    hooks = cfg.get('default_hooks') or {}
    checkpoint = {'type': 'CheckpointHook', **(hooks.get('checkpoint') or {})}
    checkpoint.update(interval=1 if checkpoint.get('by_epoch', True) else ITERATIONS, save_begin=0, save_last=True)
    logger = {'type': 'LoggerHook', **(hooks.get('logger') or {}), 'interval': 1}
    skip = {'type': 'mmgcvit.SkipNonFiniteStepHook', **(hooks.get('skip_nonfinite') or {}), 'max_consecutive': 1}
    cfg.default_hooks = {**hooks, 'checkpoint': checkpoint, 'logger': logger, 'skip_nonfinite': skip}
    cfg.custom_hooks = [
        {**hook, 'interval': min(hook.get('interval', 1), ITERATIONS)} if 'EMAHook' in type_name(hook) else hook
        for hook in cfg.get('custom_hooks') or []
    ]


def fit_machine(cfg: Config) -> list[str]:
    """One process, plain Runner, float32 without a GPU; no strategies for many GPUs, no experiment trackers."""
    notes = []
    if cfg.pop('runner_type', None) is not None:
        strategy = type_name(cfg.pop('strategy', None)) or 'no strategy'
        notes.append(f'NOT rehearsed: FlexibleRunner with {strategy}; the plain Runner takes its place')
    if cfg.pop('compile', None):
        notes.append('NOT rehearsed: torch.compile')
    kind = type_name(cfg.optim_wrapper)
    cfg.optim_wrapper.pop('use_fsdp', None)
    needs_gpu = kind in ('AmpOptimWrapper', 'ApexOptimWrapper') and not torch.cuda.is_available()
    if needs_gpu or kind == 'DeepSpeedOptimWrapper':
        plain = {key: value for key, value in cfg.optim_wrapper.items() if key not in ('dtype', 'loss_scale')}
        cfg.optim_wrapper = {**plain, 'type': 'OptimWrapper'}
        notes.append(f'NOT rehearsed: {kind}, which needs a GPU or its strategy; float32 takes its place')
    dropped = []
    for holder in filter(None, (cfg.get('visualizer'), cfg)):
        backends = as_list(holder.get('vis_backends'))
        local = [backend for backend in backends if type_name(backend) in LOCAL_BACKENDS]
        dropped += [type_name(backend) for backend in backends if backend not in local]
        if len(local) < len(backends):
            holder.vis_backends = local or [{'type': 'LocalVisBackend'}]
    return [*notes, *(f'NOT rehearsed: {name}' for name in dict.fromkeys(dropped))]


def observe(cfg: Config) -> None:
    """Have the processes write down what they do, for the checks afterwards; and make them repeatable."""
    imports = cfg.get('custom_imports') or {'imports': [], 'allow_failed_imports': False}
    names = [imports['imports']] if isinstance(imports['imports'], str) else list(imports['imports'])
    cfg.custom_imports = {**imports, 'imports': [*names, OBSERVER]}
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), {'type': 'mmgcvit.DryRunObserver', 'priority': 'LOWEST'}]
    if (cfg.get('randomness') or {}).get('seed') is None:
        cfg.randomness = {**(cfg.get('randomness') or {}), 'seed': 0}
