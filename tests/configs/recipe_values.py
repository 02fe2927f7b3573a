"""Say the numbers of each config's recipe in words, as docs/recipe_values.md lists them.

They are read from what the config builds (model, optimizer) where that exists, so that a number
that does not arrive there is seen. ``python -m tests.configs.recipe_values FILE`` writes the
tables.
"""

import sys
from collections import defaultdict
from functools import partial
from itertools import pairwise
from pathlib import Path

from mmengine.registry import init_default_scope

from mmgcvit.host.config import LOADERS, iter_settings

from .models import EVERY, get_lrs_and_decays, get_model, read
from .templates import read_template

GPUS = 8
# Settings of transforms that say nothing about the images.
UNTOLD = ('type', 'backend_args', 'meta_keys', 'keys', 'with_bbox', 'with_mask', 'with_label')
PACKING = ('PackDetInputs', 'PackSegInputs', 'PackInputs')
# Other values of the first lines of the templates, of which each changes other settings.
FINE_TUNING = ({'fine_tune': 'lora'}, {'fine_tune': 'head'})
TEMPLATE_LINES = {
    'custom_coco': (
        {'augment': 'none'},
        {'augment': 'strong'},
        {'flip': False},
        {'random_crops': False},
        {'cosine': True},
        {'copy_paste': True},
        {'masks': False},
        {'masks': False, 'mosaic': True},
        {'tiles': 640, 'tiles_per_image': 4},
        {'max_objects': 300},
        {'oversample_thr': 0.1},
        {'batch_size': 8, 'lr_batch_size': None, 'max_epochs': 48, 'workers': 0},
        {'image_size': 400},
        {'test_annotations': 'annotations/test.json', 'test_images': 'test/'},
        *FINE_TUNING,
    ),
    'custom_seg': (
        {'augment': 'none'},
        {'augment': 'strong'},
        {'flip': False},
        {'lovasz': True},
        {'tiles': 1024, 'tiles_per_image': 4},
        {'oversample_thr': 0.1},
        {'batch_size': 8, 'lr_batch_size': None, 'max_iters': 100, 'workers': 0},
        {'image_size': 256},
        {'test_images': 'images/test', 'test_labels': 'labels/test'},
        *FINE_TUNING,
    ),
    'custom_cls': (
        {'augment': 'none'},
        {'augment': 'strong'},
        {'flip': False},
        {'whole': True},
        {'min_crop': 0.6},
        {'num_strips': (2, 2, 2, 2)},
        {'oversample_thr': 0.1},
        {'batch_size': 8, 'lr_batch_size': 32, 'max_epochs': 60, 'workers': 0},
        {'image_size': 112},
        {'test_images': 'test'},
        *FINE_TUNING,
    ),
}
# The settings of a template that are not in the columns for images.
OTHERS = ('model', 'data_preprocessor', 'param_scheduler', 'optim_wrapper', 'auto_scale_lr')
OTHERS += ('train_cfg', 'val_cfg', 'test_cfg', 'val_evaluator', 'test_evaluator')
OTHERS += ('default_hooks', 'custom_hooks', 'tta_pipeline')
ABSENT = '(none)'


def write_number(value):
    """Write a number with four significant digits, or three where it is small."""
    if isinstance(value, int):
        return str(value)
    return f'{value:.3g}'.replace('e-0', 'e-') if value < 0.01 else f'{value:.4g}'


def write_range(values):
    """Write the lowest and the highest of some numbers."""
    ends = sorted({min(values), max(values)})
    return ' to '.join(map(write_number, ends))


def write_lengths(values):
    """Write the different lengths of some image sizes: each, or the first, the last and the step."""
    lengths = sorted(set(values))
    steps = {larger - smaller for smaller, larger in pairwise(lengths)}
    if len(lengths) > 2 and len(steps) == 1:
        return f'{lengths[0]} to {lengths[-1]} by {steps.pop()}'
    return '/'.join(map(str, lengths))


def is_size(value):
    """Return whether a value is an image size: two numbers of pixels."""
    is_pair = isinstance(value, (tuple, list)) and len(value) == 2
    return is_pair and all(isinstance(number, int) for number in value)


def write_value(value):
    """Write a setting of a transform: numbers of one kind as a range, nested steps in brackets."""
    if isinstance(value, dict):
        return write_transform(value) if 'type' in value else f'({write_settings(value)})'
    if isinstance(value, bool) or not isinstance(value, (int, float, list, tuple)):
        return str(value)
    if isinstance(value, (int, float)):
        return write_number(value)
    if all(map(is_size, value)):
        return 'x'.join(map(write_lengths, zip(*value, strict=True)))
    return f'[{", ".join(map(write_value, value))}]'


def write_settings(settings):
    """Write settings, sorted by name."""
    told = {key: value for key, value in sorted(settings.items()) if key not in UNTOLD}
    return ' '.join(f'{key}={write_value(value)}' for key, value in told.items())


def write_transform(settings):
    name = settings['type'].removeprefix('mmgcvit.').removeprefix('mmdet.')
    return f'{name} {write_settings(settings)}'.strip()


def write_pipeline(pipeline):
    """Write the transforms of a pipeline, without those that load and pack."""
    steps = (
        step
        for step in pipeline
        if not step['type'].startswith('Load') and step['type'] not in PACKING
    )
    return '; '.join(map(write_transform, steps))


def find_dataset(dataset):
    """Return the settings of a dataset within those that wrap it."""
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def write_images(cfg, loader):
    """Write what happens to the images of a dataloader, and which are left out."""
    dataset = cfg[loader].dataset.to_dict()
    steps = [write_pipeline(dataset.get('pipeline', ()))]
    inner = find_dataset(dataset)
    if inner is not dataset:
        steps.insert(0, write_pipeline(inner.get('pipeline', ())))
        steps.append(write_transform({**dataset, 'dataset': None, 'pipeline': None}))
    for key in ('filter_cfg', 'img_suffix', 'reduce_zero_label', 'classes'):
        if inner.get(key):
            steps.append(f'{key}: {write_value(inner[key])}')
    return '; '.join(filter(None, steps)) or 'whole images'


def write_batch(cfg):
    batch = cfg.train_dataloader.batch_size
    accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
    text = f'{GPUS}x{batch}'
    if accumulated > 1:
        text += f', accumulated {accumulated} times'
    if cfg.train_dataloader.get('drop_last'):
        text += ', the last incomplete one dropped'
    base = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    if base:
        text += f' (lr is for {base:,})'
    return f'{text}; test {cfg.val_dataloader.batch_size}'


def write_rates(name):
    """Write the learning rates of the groups, and how many tensors have which weight decay."""
    cfg = read(name)
    init_default_scope(cfg.default_scope)
    settings = get_lrs_and_decays(get_model(name), cfg.optim_wrapper).values()
    rates, decays = zip(*settings, strict=True)
    text = write_range(rates)
    number = len(set(rates))
    if number > 1:
        text += f' in {number} groups'
    highest = max(decays)
    decayed = sum(decay == highest for decay in decays)
    exempt = sum(decay == 0 for decay in decays)
    assert decayed + exempt == len(decays), name
    return f'{cfg.optim_wrapper.optimizer.type} {text}', (
        f'{write_number(highest)} on {decayed} of {len(decays)} tensors'
    )


def write_scheduler(cfg, scheduler):
    """Write one step of the schedule, with its first and last epoch or iteration."""
    is_by_epoch = scheduler.get('by_epoch', True)
    unit = 'epochs' if is_by_epoch else 'iterations'
    told = {
        key: scheduler[key]
        for key in ('start_factor', 'milestones', 'gamma', 'eta_min', 'power', 'T_max')
        if key in scheduler
    }
    begin = scheduler.get('begin', 0)
    end = scheduler.get('end')
    place = f'{begin:,} to {"the end" if end is None else f"{end:,}"} {unit}'
    if is_by_epoch and scheduler.get('convert_to_iter_based'):
        place += ', by iteration'
    return f'{scheduler.type} {write_settings(told)} ({place})'.replace('  ', ' ')


def write_length(cfg):
    """Write the length of a training, and how often it is scored."""
    length = cfg.train_cfg
    if 'max_iters' in length:
        text = f'{length.max_iters:,} iterations'
    else:
        text = f'{length.max_epochs:,} epochs'
    text += f', scored every {length.val_interval:,}'
    for begin, interval in length.get('dynamic_intervals') or ():
        text += f', every {interval:,} from {begin:,} on'
    return text


def write_drop_path(name):
    """Write the lowest and the highest drop path of the backbone's blocks."""
    modules = get_model(name).backbone.modules()
    rates = [module.drop_prob for module in modules if type(module).__name__ == 'DropPath']
    return write_range(rates) if rates else 'none'


def write_regularization(cfg):
    """Write clipping, EMA, mixing of images and smoothing of labels."""
    clipping = (cfg.optim_wrapper.get('clip_grad') or {}).get('max_norm')
    told = [f'clipping {write_number(clipping)}'] if clipping else []
    told += map(write_transform, cfg.get('custom_hooks') or ())
    told += map(write_transform, (cfg.model.get('train_cfg') or {}).get('augments') or ())
    head = cfg.model.get('head') or {}
    if 'loss' in head:
        told.append(write_transform(head.loss))
    return '; '.join(told) or 'none'


def write_files(cfg):
    """Write which checkpoints are kept, and after how many steps with NaN a run ends."""
    hook = cfg.default_hooks.checkpoint
    skipped = cfg.default_hooks.skip_nonfinite.max_consecutive
    unit = 'epochs' if hook.get('by_epoch', True) else 'iterations'
    return (
        f'every {hook.interval:,} {unit}, {hook.max_keep_ckpts} kept, best by {hook.save_best}; ends after '
        f'{skipped} steps of NaN'
    )


def describe(name):
    """Return the numbers of a config: a text for each column of the table."""
    cfg = read(name)
    schedulers = cfg.get('param_scheduler') or []
    schedulers = [schedulers] if isinstance(schedulers, dict) else schedulers
    rates, decay = write_rates(name)
    return {
        'batch a GPU': write_batch(cfg),
        'lr': rates,
        'weight decay': decay,
        'schedule': '; '.join(map(partial(write_scheduler, cfg), schedulers)) or 'none',
        'length': write_length(cfg),
        'drop path': write_drop_path(name),
        'regularization': write_regularization(cfg),
        'checkpoints': write_files(cfg),
    }


def describe_images(name):
    """Return what happens to the images in training and in tests."""
    cfg = read(name)
    return {
        'training': write_images(cfg, 'train_dataloader'),
        'test': write_images(cfg, 'test_dataloader'),
    }


def describe_model(name):
    """Return all settings of the model, of its scores and of tests with augmentation."""
    cfg = read(name).to_dict()
    model = cfg['model']
    pixels = model.pop('data_preprocessor', None) or cfg['data_preprocessor']
    backbone = model.pop('backbone')
    backbone.pop('init_cfg', None)
    augmented = cfg.get('tta_pipeline')
    return {
        'pixels': write_value(pixels),
        'backbone': write_value(backbone),
        'neck and heads': write_value(model),
        'scores': write_value(cfg['test_evaluator']),
        'tests with augmentation': write_pipeline(augmented) if augmented else 'none',
    }


def list_others(cfg):
    """Return the settings of a template beside its images, as texts by dotted name."""
    settings = {name: cfg.get(name) for name in OTHERS}
    for loader in LOADERS:
        settings[loader] = {key: value for key, value in cfg[loader].items() if key != 'dataset'}
        dataset = find_dataset(cfg[loader].dataset)
        files = ('ann_file', 'data_prefix', 'data_root')
        settings[f'{loader}.dataset'] = {key: dataset.get(key) for key in files}
    return {
        name.removeprefix('.'): write_value(value)
        for name, value in iter_settings(settings, '')
        if not any(iter_settings(value, ''))
    }


def is_told_by_others(key, settings):
    """Return whether a setting is absent, and one that holds it or that it held is not."""
    others = (other for other in settings if key not in settings)
    return any(f'{other}.'.startswith(f'{key}.') or key.startswith(f'{other}.') for other in others)


def describe_template(name, lines):
    """Return what a template's first lines change: images as a whole, of the rest what differs."""
    cfg = read_template(name, **lines)
    images = {key: write_images(cfg, f'{key}_dataloader') for key in ('train', 'test')}
    before = read_template(name)
    old, new = list_others(before), list_others(cfg)
    changes = [
        f'{key}={new.get(key, ABSENT)}'
        for key in {**old, **new}
        if new.get(key) != old.get(key) and not is_told_by_others(key, new)
    ]
    row = {'other settings': '; '.join(changes) or 'the same'}
    for key, title in (('train', 'training'), ('test', 'test')):
        same = write_images(before, f'{key}_dataloader') == images[key]
        row[title] = 'the same' if same else images[key]
    return row


def write_lines(name, lines):
    """Write the name of a template and its changed lines."""
    return f'`{name}`: {", ".join(f"`{key} = {value!r}`" for key, value in lines.items())}'


def list_template_rows():
    """Return the rows of the table of templates, the header first."""
    rows = []
    for name, variants in TEMPLATE_LINES.items():
        for lines in variants:
            row = describe_template(name, lines)
            rows.append([write_lines(name, lines), *row.values()])
    return [['template', *row], *rows]


def list_rows(describe):
    """Return the rows of a table, the header first: configs with equal values share one."""
    names = defaultdict(list)
    for name in EVERY:
        values = describe(name)
        names[tuple(values.values())].append(f'`{name}`')
    rows = [['config', *values]]
    for texts, same in names.items():
        rows.append([', '.join(same), *texts])
    return rows


def write_table(rows):
    lines = [f'| {" | ".join(row)} |' for row in rows]
    lines.insert(1, '|--' * len(rows[0]) + '|')
    return '\n'.join(lines)


if __name__ == '__main__':
    tables = [
        write_table(list_rows(function)) for function in (describe, describe_images, describe_model)
    ]
    tables.append(write_table(list_template_rows()))
    Path(sys.argv[1]).write_text('\n\n'.join(tables) + '\n')
