"""Write a config that trains a network on a user's dataset."""

import os
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from pprint import pformat
from typing import Any

import torch
from mmengine.config import Config

from ..config import (
    LOADERS,
    get_config_path,
    get_name_and_work_dir,
    get_type_name,
    iter_settings,
    iter_unwrapped_datasets,
    list_known_keys,
    scale_sizes,
)
from ..errors import UserError, check_installed, format_count
from ..files import find_free_path, make_absolute, make_portable_path, read_text, write_text
from .augmentation import set_augmentation
from .formats import DatasetInfo, split_validation, write_annotations
from .formats.advice import find_missing_classes, find_small_objects

# The smallest --size. By default, it starts from weights in this project.
MINI = 'mini'
# The other values of --size, with their names in configs. By default, they start from weights of GC ViT's authors.
SIZES = {'xxtiny': 'xxt', 'xtiny': 'xt', 'tiny': 't', 'small': 's', 'base': 'b', 'large': 'l'}
DEMO_WEIGHTS = 'demo/weights'
# The weights of GC ViT's authors for each size. timm's copies have the first digits of their SHA-256 in the name, which
# the download verifies. timm has none of the size large, and the authors' own file is on a branch that may change.
TIMM_RELEASE = 'https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights-morevit'
WEIGHTS = {
    'xxtiny': f'{TIMM_RELEASE}/gcvit_xxtiny_224_nvidia-d1d86009.pth',
    'xtiny': f'{TIMM_RELEASE}/gcvit_xtiny_224_nvidia-274b92b7.pth',
    'tiny': f'{TIMM_RELEASE}/gcvit_tiny_224_nvidia-ac783954.pth',
    'small': f'{TIMM_RELEASE}/gcvit_small_224_nvidia-4e98afa2.pth',
    'base': f'{TIMM_RELEASE}/gcvit_base_224_nvidia-f009139b.pth',
    'large': 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_large.pth.tar',
}


@dataclass(frozen=True)
class Recipe:
    """The task and network for a type of annotations, with the names of the configs that are combined.

    The config ``template`` reads the data. ``full_config`` (``{}`` stands for the size) or ``mini_config`` (for the
    smallest size) defines the network. By default, the smallest starts from the demo's weights ``mini_weights``.
    """

    task: str
    network: str
    template: str
    full_config: str
    mini_config: str
    mini_weights: str
    # The default image size for mini_config in pixels, and the images that its training sees.
    image_size: int
    num_seen: int
    # What the smallest size changes in the template besides the network. If empty, its template is custom_coco_small.
    mini_settings: dict[str, Any]
    sizes: tuple[str, ...] = ('tiny', 'small', 'base')


# The schedule of the demo's detectors and segmentor.
MINI_SETTINGS = {
    'train_dataloader.batch_size': 8,
    'auto_scale_lr.base_batch_size': 8,
    'optim_wrapper.optimizer.lr': 1.5e-3,
    'optim_wrapper.clip_grad': {'max_norm': 1.0},
    'custom_hooks': [{'type': 'EMAHook', 'momentum': 0.02}],
    **{f'{loader}.num_workers': 2 for loader in LOADERS},
}
# Lovász loss (CVPR 2018) is one minus a soft IoU. With cross entropy, 240 iterations ended with only background.
LOVASZ_LOSS = {'_delete_': True, 'type': 'LovaszLoss', 'loss_type': 'multi_class', 'reduction': 'none'}
MINI_SEGMENTOR_SETTINGS = MINI_SETTINGS | {
    'model.decode_head.loss_decode': LOVASZ_LOSS,
    'model.auxiliary_head.loss_decode': LOVASZ_LOSS | {'loss_weight': 0.4},
}
MINI_CLASSIFIER_SETTINGS = {
    'optim_wrapper.optimizer.lr': 1e-3,
    'optim_wrapper.paramwise_cfg.custom_keys.relative_position_bias_table.decay_mult': 0.0,
}
# full_config, mini_config, mini_weights, image_size and num_seen.
DETECTOR = ('mask_rcnn_gcvit_{}', 'mask_rcnn_gcvit_objects', 'mask_rcnn_gcvit_objects', 192, 1600)
SEGMENTOR = ('upernet_gcvit_{}', 'upernet_gcvit_objects', 'upernet_gcvit_objects', 128, 4800)
CLASSIFIER = ('gcvit_{}_in1k', 'gcvit_digits_cls', 'mask_rcnn_gcvit_objects', 64, 6400)
# The recipe for each type of annotations.
RECIPES = {
    'boxes': Recipe('detect', 'Faster R-CNN', 'custom_coco_boxonly', *DETECTOR, {}),
    'masks': Recipe('segment', 'Mask R-CNN', 'custom_coco', *DETECTOR, MINI_SETTINGS),
    'labels': Recipe('segment', 'UPerNet', 'custom_seg', *SEGMENTOR, MINI_SEGMENTOR_SETTINGS),
    'classes': Recipe(
        'classify', 'a classifier', 'custom_cls', *CLASSIFIER, MINI_CLASSIFIER_SETTINGS, sizes=tuple(SIZES)
    ),
}
# The default length of training: NUM_SEEN images (a recipe's num_seen for MINI), but at least MIN_EPOCHS epochs.
NUM_SEEN, MIN_EPOCHS = 6000, 12
# What --fine-tune trains of the backbone: all, low-rank updates of its attention (LoRA), or nothing.
FINE_TUNE = {'all': {}, 'lora': {'lora_rank': 8}, 'head': {'frozen_stages': 4}}
# The folder in the work dir for the config and annotation files. If it exists (with --overwrite), made2 is used,
# because the earlier config reads the annotation files in made.
CONFIG_FOLDER = 'made'
# A variable of the written config: the folder of the data, and the options of the run, also those by default.
STARTED_WITH = 'started_with'
# Code in a written config that finds a config of this project, wherever the project is installed.
CONFIG_PATH = "__import__('mmgcvit').get_config_path({!r})"


def make_config(
    dataset: DatasetInfo,
    work_dir: str | Path | None = None,
    task: str | None = None,
    size: str | None = None,
    epochs: int | None = None,
    image_size: int | None = None,
    pretrained: str | Path | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    workers: int | None = None,
    augment: str = 'light',
    no_flip: bool = False,
    fine_tune: str = 'all',
    tiles: int | None = None,
) -> tuple[Path, str]:
    """Write the config that trains on a dataset, and the annotation files it needs, to a work dir.

    If the dataset has no validation split, hold out a part of the training images. No file in the work dir is replaced.
    The arguments are the options of ``mmgcvit train``.

    Returns:
        The path of the config, and a summary of the training for the user.

    Raises:
        UserError: An argument is invalid, or there are too few images.
    """
    recipe, size = choose_recipe(dataset, task, size)
    name, work_dir = get_name_and_work_dir(dataset.folder, work_dir)
    weights = check_options(dataset, work_dir, pretrained, tiles)
    split_validation(dataset)
    folder = find_free_path(work_dir / CONFIG_FOLDER)
    write_annotations(dataset, folder)

    template, cfg = load_template(recipe, size)
    cfg.work_dir = make_portable_path(work_dir)
    image_size = image_size or (recipe.image_size if size == MINI else cfg.image_size)
    side = image_size if tiles == 0 else tiles
    dataset.notes += find_small_objects(dataset, image_size, side) + find_missing_classes(dataset)
    ratio = image_size / cfg.image_size
    sized = [cfg.get('tta_pipeline'), cfg.model.get('data_preprocessor'), *(cfg[loader].dataset for loader in LOADERS)]
    scale_sizes(sized, lambda side: round(side * ratio))
    if batch_size is not None:
        cfg.train_dataloader.batch_size = batch_size
    if lr is not None:
        cfg.optim_wrapper.optimizer.lr = lr
        # Do not scale the learning rate that the user has set.
        cfg.auto_scale_lr = {'enable': False, 'base_batch_size': cfg.train_dataloader.batch_size}
    for loader in LOADERS if workers is not None else ():
        cfg[loader].update(num_workers=workers, persistent_workers=workers > 0)
    set_augmentation(cfg, augment, flip=not no_flip)
    if recipe.task == 'classify':
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), {'type': 'mmgcvit.ValLossHook'}]
    set_data(cfg, dataset)
    cfg.model.backbone.update(FINE_TUNE[fine_tune])
    num_images = len(dataset.splits['train'].image_names)
    if side is not None:
        num_images *= set_tiles(cfg, dataset, side)
    length = set_length(cfg, num_images, epochs, recipe.num_seen if size == MINI else NUM_SEEN)
    # Relative to the work dir if both may move with the current folder.
    is_fixed = any(Path(make_portable_path(path)).is_absolute() for path in (dataset.folder, work_dir))
    data = str(dataset.folder.resolve()) if is_fixed else os.path.relpath(dataset.folder.resolve(), work_dir.resolve())
    options = {'data': data, 'task': recipe.task, 'size': size}
    options |= {'image_size': image_size, 'pretrained': pretrained and str(pretrained)}
    options |= {'batch_size': cfg.train_dataloader.batch_size, 'lr': cfg.optim_wrapper.optimizer.lr}
    options |= {'workers': cfg.train_dataloader.num_workers, 'augment': augment, 'no_flip': no_flip}
    cfg[STARTED_WITH] = {**options, 'fine_tune': fine_tune, 'tiles': side}
    if weights is not None:
        cfg.model.backbone.init_cfg = None if weights == 'none' else {'type': 'Pretrained', 'checkpoint': weights}
        cfg.load_from = None
    path = folder / f'{name}.py'
    training = f'trains {recipe.network}, --size {size}, at {image_size} px, {length}'
    training += f', on tiles of {side} px' if side else ''
    write_text(path, format_config(template, cfg, training))
    return path, f'{dataset}\n{training}, from {format_init_weights(cfg)}\nconfig: {path}'


def check_options(dataset: DatasetInfo, work_dir: Path, pretrained: str | Path | None, tiles: int | None) -> str | None:
    """Return the weights that ``--pretrained`` names. Raise a UserError for an option that does not fit the dataset."""
    weights = pretrained and str(pretrained)
    if weights and weights != 'none' and '://' not in weights:
        weights = str(make_absolute(Path(weights).expanduser()))
        if not Path(weights).is_file():
            raise UserError(
                f'--pretrained {pretrained}: there is no such file. Expected a file, a URL, timm://NAME, or none'
            )
    if make_absolute(work_dir).resolve().is_relative_to(make_absolute(dataset.folder).resolve()):
        raise UserError(
            f'the work dir {work_dir} is inside the dataset. Set another --work-dir, or run the command in another '
            'folder'
        )
    if tiles is not None:
        if not dataset.has_objects:
            raise UserError('--tiles is for datasets with boxes or masks of objects. Remove --tiles')
        check_installed('--tiles', 'supervision')
    folders = (dataset.folder, work_dir, *(split.image_folder for split in dataset.splits.values()))
    files = filter(None, (split.ann_file for split in dataset.splits.values()))
    check_config_texts(*dataset.classes, *folders, *files, weights or '')
    return weights


def set_tiles(cfg: Config, dataset: DatasetInfo, side: int) -> int:
    """Train on random tiles of ``side`` pixels; validate and test in tiles. Return the tiles per image and epoch."""
    settings = cfg.train_dataloader.dataset
    steps = settings.pipeline
    position = next(i for i, step in enumerate(steps) if get_type_name(step) == 'LoadAnnotations')
    steps.insert(position, {'type': 'mmgcvit.RandomTile', 'side': side})
    images = dataset.splits['train'].content['images']
    num_tiles = max(1, round(sum(max(1, image['width'] * image['height'] / side**2) for image in images) / len(images)))
    cfg.train_dataloader.dataset = {'type': 'RepeatDataset', 'times': num_tiles, 'dataset': settings}
    for loader, loop in (('val', 'Val'), ('test', 'Test')):
        cfg[f'{loader}_cfg'] = {'type': f'mmgcvit.Tiled{loop}Loop', 'side': side}
        cfg[f'{loader}_dataloader'].batch_size = 1
    # Without this setting, mmdet trains objects to be ignored as background.
    for stage in ('rpn', 'rcnn'):
        cfg.model.train_cfg[stage].assigner.ignore_iof_thr = 0.5
    # mmdet computes COCO's mAP from at most 100 detections by class and image, and mAP_50 from at most 1,000.
    cfg.default_hooks.checkpoint.save_best = 'coco/bbox_mAP_50'
    return num_tiles


def check_config_texts(*texts: str | Path) -> None:
    """Raise a UserError for a text that mmengine would change in a config, or that cannot be written into one."""
    for text in map(str, texts):
        if '{{' in text or text.encode(errors='replace').decode() != text:
            raise UserError(
                f'{text!r}: names of classes and folders must be valid UTF-8 without two opening braces, which '
                'mmengine replaces by a variable. Rename it'
            )


def choose_recipe(dataset: DatasetInfo, task: str | None, size: str | None) -> tuple[Recipe, str]:
    """Return the recipe of a task and the size of its network, by default for the dataset and the device."""
    recipes = [RECIPES[annotation_type] for annotation_type in dataset.annotation_types]
    recipe = next((recipe for recipe in recipes if task in (None, recipe.task)), None)
    if recipe is None:
        tasks = ' or '.join(dict.fromkeys(recipe.task for recipe in recipes))
        raise UserError(f'{dataset.folder} ({dataset.format}) has no annotations for --task {task}. Use --task {tasks}')
    size = size or ('tiny' if torch.cuda.is_available() else MINI)
    if size not in (MINI, *recipe.sizes):
        raise UserError(
            f'--size {size} is not for the task {recipe.task}. Choose one of {", ".join((MINI, *recipe.sizes))}'
        )
    return recipe, size


def extend_run(config: Path, epochs: int) -> tuple[Path, str]:
    """Write a config that trains a run for ``epochs`` epochs. Return its path, and the length as text.

    Args:
        config: The config with all settings, which mmengine has written into the run's work dir. It is returned if its
            length is ``epochs``.
        epochs: The new total number of epochs.
    """
    cfg = Config.fromfile(config)
    name = 'max_iters' if 'max_iters' in cfg.train_cfg else 'max_epochs'
    previous_length = cfg.train_cfg[name]
    # Only the length in iterations depends on the number of images, which the annotation file lists.
    file = next(iter_unwrapped_datasets(cfg.train_dataloader.dataset)).ann_file
    num_images = len(read_text(Path(file)).splitlines()) if name == 'max_iters' else 1
    length = set_length(cfg, num_images, epochs, 0)
    if cfg.train_cfg[name] == previous_length:
        return config, length
    path = find_free_path(config.parent / CONFIG_FOLDER) / config.name
    write_text(path, cfg.pretty_text)
    return path, length


def load_template(recipe: Recipe, size: str) -> tuple[str, Config]:
    """Return the file name of a recipe's template, and the template's config with the network of the given size."""
    is_mini = size == MINI
    template = f'{recipe.template if recipe.mini_settings or not is_mini else "custom_coco_small"}.py'
    cfg = Config.fromfile(get_config_path(template))
    network_config = f'demo/{recipe.mini_config}.py' if is_mini else f'{recipe.full_config.format(SIZES[size])}.py'
    network = Config.fromfile(get_config_path(network_config)).model
    if is_mini:
        # The demo's preprocessor is for small images.
        for name in network.keys() - {'data_preprocessor'} if recipe.mini_settings else ():
            cfg.model[name] = network[name]
        cfg.merge_from_dict(recipe.mini_settings)
        cfg.model.backbone.init_cfg = None
        cfg.load_from = get_config_path(f'{DEMO_WEIGHTS}/{recipe.mini_weights}.safetensors')
    else:
        cfg.model.backbone.arch = network.backbone.arch
        cfg.model.backbone.init_cfg = {'type': 'Pretrained', 'checkpoint': WEIGHTS[size]}
        for name, module in network.items():
            if isinstance(module, dict) and 'in_channels' in module:
                cfg.model[name].in_channels = module.in_channels
    return template, cfg


def find_overrides(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with which a config that inherits from ``old`` equals ``new``."""
    if old.keys() - new.keys():
        return {'_delete_': True, **new}
    changed = {}
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            nested = find_overrides(old[name], value)
            changed |= {name: nested} if nested else {}
        elif name not in old or value != old[name]:
            # mmengine merges a dict only into another dict; _delete_ replaces any other value.
            changed[name] = {'_delete_': True, **value} if isinstance(value, dict) and name in old else value
    return changed


def set_length(cfg: Config, num_images: int, epochs: int | None, num_seen: int) -> str:
    """Set the training length, about a dozen validations and the learning rate schedule. Return the length as text.

    If ``epochs`` is None, the training sees ``num_seen`` images, in at least :data:`MIN_EPOCHS` epochs.
    """
    length, by_iters = epochs or max(MIN_EPOCHS, ceil(num_seen / num_images)), 'max_iters' in cfg.train_cfg
    if by_iters:
        length *= ceil(num_images / cfg.train_dataloader.batch_size)
        cfg.default_hooks.logger.interval = max(1, min(50, length // 10))
    interval = max(1, length // (10 if by_iters else 12))
    cfg.train_cfg.update({'max_iters' if by_iters else 'max_epochs': length, 'val_interval': interval})
    hook = cfg.default_hooks.checkpoint
    hook.update(interval=interval, save_best=hook.get('save_best') or 'auto')
    warm_up, decay = cfg.param_scheduler
    warm_up.end, decay.end = max(2, length // 20) if by_iters else min(2, length), length
    if 'milestones' in decay:
        decay.milestones = sorted({max(1, length * 2 // 3), max(1, length * 11 // 12)})
    return format_count(length, 'iteration' if by_iters else 'epoch')


def set_data(cfg: Config, dataset: DatasetInfo) -> None:
    """Set a dataset's paths and classes in a config, and ``num_classes`` of the model's heads."""
    splits = {'test': dataset.splits['val'], **dataset.splits}
    if dataset.has_objects and not splits['test'].content['annotations']:
        splits['test'] = splits['val']  # it cannot be scored
    for loader in LOADERS:
        split = splits[loader.removesuffix('_dataloader')]
        settings = next(iter_unwrapped_datasets(cfg[loader].dataset))
        settings.data_root, settings.ann_file = '', make_portable_path(split.ann_file)
        settings.metainfo.classes, images = dataset.classes, make_portable_path(split.image_folder)
        if dataset.annotation_types == ('labels',):
            settings.type = 'mmgcvit.PairedSegDataset'
            settings.data_prefix = {'img_path': images, 'seg_map_path': images}
        else:
            settings.data_prefix = {'img': images} if dataset.has_objects else images
    if dataset.has_objects:
        cfg.val_evaluator.ann_file = make_portable_path(splits['val'].ann_file)
        cfg.test_evaluator.ann_file = make_portable_path(splits['test'].ann_file)
    for name, settings in [*iter_settings(cfg.model, 'model'), ('', cfg.get('data_preprocessor'))]:
        # A region proposal network (rpn_head) always has one class.
        if isinstance(settings, dict) and 'num_classes' in settings and 'rpn_head' not in name:
            settings.num_classes = len(dataset.classes)
        if isinstance(settings, dict) and 'class_weight' in settings:
            settings.class_weight = None  # the demo's weights are of other classes


def format_config(template: str, cfg: Config, training: str) -> str:
    """Return a config as Python code: the template as its base, and the settings that differ from the template.

    All texts of the user are in literals that ``repr`` writes. Comments have none, because a line break would end them.
    """
    overrides = find_overrides(Config.fromfile(get_config_path(template)).to_dict(), cfg.to_dict())
    # Leave out variables of templates: they are no settings.
    keys = list_known_keys() | {'data_preprocessor', STARTED_WITH}
    texts = {name: pformat(value, width=100, sort_dicts=False) for name, value in overrides.items() if name in keys}
    if cfg.get('load_from'):
        texts['load_from'] = CONFIG_PATH.format(f'{DEMO_WEIGHTS}/{Path(cfg.load_from).name}')
    text = ''.join(f'{name} = {value}\n' for name, value in texts.items())
    return f"""# Written by mmgcvit train --data. As written, it {training}.
# Relative paths start at the folder where the command runs.
# Edit it and train it again: mmgcvit train THIS_FILE --work-dir ANOTHER_FOLDER
_base_ = {CONFIG_PATH.format(template)}
{text}"""


def format_init_weights(cfg: Config) -> str:
    """Return a text that names the initial weights of a config and says what limits their use."""
    if cfg.get('load_from'):
        name = Path(cfg.load_from).stem
        return f"mmgcvit's small model {name}, for a first look without a GPU. A larger --size needs a GPU"
    if not cfg.model.backbone.init_cfg:
        return 'random weights: scores will be low without many thousand images. For other weights, set --pretrained'
    weights = cfg.model.backbone.init_cfg.checkpoint
    branch = ' (a branch that may change)' if '/resolve/main/' in weights else ''
    return f'the weights {weights}{branch}{", which are not for commercial use" if "nvidia" in weights else ""}'
