"""Write a config that trains a network on a folder of data."""

import re
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from pprint import pformat
from typing import Any

import torch
from mmengine.config import Config

from ..config import config_path, iter_settings, list_known_keys
from ..errors import UserError, escape_controls, format_count
from ..files import find_free_path, make_absolute, write_text
from .checks.sources import iter_leaf_datasets
from .formats import DatasetInfo, write_annotations

# The smallest network, with weights that come with the project; the others start from the authors' weights.
MINI = 'mini'
SIZES = {'xxtiny': 'xxt', 'xtiny': 'xt', 'tiny': 't', 'small': 's', 'base': 'b', 'large': 'l'}
RELEASED = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_{}.pth.tar'


@dataclass(frozen=True)
class Recipe:
    """How a kind of annotations is learned: the network, and the configs of its template and of its sizes."""

    task: str
    network: str
    template: str
    full: str
    mini: str
    # Of the smallest network, in pixels.
    image_size: int
    sizes: tuple[str, ...] = ('tiny', 'small', 'base')


DETECTOR = ('mask_rcnn_gcvit_{}', 'mask_rcnn_gcvit_digits', 192)
RECIPES = {
    'boxes': Recipe('detect', 'Faster R-CNN', 'custom_coco_boxonly', *DETECTOR),
    'masks': Recipe('segment', 'Mask R-CNN', 'custom_coco', *DETECTOR),
    'labels': Recipe('segment', 'UPerNet', 'custom_seg', 'upernet_gcvit_{}', 'upernet_gcvit_digits', 128),
    'classes': Recipe(
        'classify', 'a classifier', 'custom_cls', 'gcvit_{}_in1k', 'gcvit_digits_cls', 64, sizes=tuple(SIZES)
    ),
}
# A template of its own on the smallest network.
MINI_TEMPLATES = {'custom_coco_boxonly': 'custom_coco_small'}
# The template's learning rate is too low for the smallest classifier.
MINI_RATE = 1e-3
# Default length: images seen in training, and the minimum number of epochs.
SEEN, SEEN_BY_MINI, MIN_EPOCHS = 6000, 1600, 12
# The folder of the config in its work dir; with --overwrite made2, as the earlier run's config names files in made.
MADE = 'made'
# Arguments of transforms that are sizes in pixels.
PIXELS = ('scale', 'scales', 'crop_size', 'size', 'img_scale')
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def get_run(dataset: DatasetInfo, work_dir: str | Path | None = None) -> tuple[str, Path]:
    """The name of a config for a data set, and the folder of its run."""
    name = re.sub(r'\W+', '_', make_absolute(dataset.folder).name).strip('_') or 'own_data'
    return name, Path(work_dir or Path('work_dirs') / name)


def make_config(
    dataset: DatasetInfo,
    work_dir: str | Path | None = None,
    task: str | None = None,
    size: str | None = None,
    epochs: int | None = None,
    image_size: int | None = None,
    pretrained: str | Path | None = None,
) -> tuple[Path, str]:
    """Write the config that trains on a data set, and the annotation files it needs, into a work dir.

    The data set gets a validation split where it has none. Nothing in the work dir is replaced. The arguments are the
    options of ``mmgcvit train``.

    Returns:
        The path of the config, and a text that says what is trained.

    Raises:
        UserError: An argument is not among those allowed, or there are too few images.
    """
    recipe = next((RECIPES[kind] for kind in dataset.kinds if task in (None, RECIPES[kind].task)), None)
    if recipe is None:
        possible = ' or '.join(dict.fromkeys(RECIPES[kind].task for kind in dataset.kinds))
        raise UserError(f'{dataset.folder} ({dataset.format}) has no annotations to {task}; expected --task {possible}')
    size = size or ('tiny' if torch.cuda.is_available() else MINI)
    if size not in (MINI, *recipe.sizes):
        raise UserError(f'--size {size}: to {recipe.task} there are {", ".join((MINI, *recipe.sizes))}')
    weights = str(pretrained)
    if pretrained is not None and weights != 'none' and '://' not in weights:
        weights = str(make_absolute(Path(weights).expanduser()))
        if not Path(weights).is_file():
            raise UserError(f'--pretrained {weights}: no such file; expected one, an address, timm://NAME or none')
    name, work_dir = get_run(dataset, work_dir)
    if make_absolute(work_dir).resolve().is_relative_to(make_absolute(dataset.folder).resolve()):
        raise UserError(f'{work_dir} would be within the data; start in another folder, or name one by --work-dir')
    dataset.split_validation()
    folder = find_free_path(work_dir / MADE)
    write_annotations(dataset, folder)

    base, cfg = load_template(recipe, size)
    cfg.work_dir = str(make_absolute(work_dir))
    image_size = image_size or (recipe.image_size if size == MINI else cfg.image_size)
    scale_images(cfg, image_size / cfg.image_size)
    length = set_length(cfg, len(dataset.splits['train'].names), epochs, SEEN_BY_MINI if size == MINI else SEEN)
    set_data(cfg, dataset)
    if pretrained is not None:
        cfg.model.backbone.init_cfg = None if weights == 'none' else {'type': 'Pretrained', 'checkpoint': weights}
        cfg.load_from = None
    path = folder / f'{name}.py'
    write_text(path, format_config(base, cfg, make_absolute(dataset.folder)))
    return path, (
        f'{dataset}\ntrains {recipe.network}, --size {size}, at {image_size} px, {length}, from '
        f'{describe_weights(cfg)}\nconfig: {path}'
    )


def load_template(recipe: Recipe, size: str) -> tuple[str, Config]:
    """The path of a template, and its settings with a network of a size."""
    is_mini = size == MINI
    template = MINI_TEMPLATES.get(recipe.template, recipe.template) if is_mini else recipe.template
    base = config_path(f'{template}.py')
    cfg = Config.fromfile(base)
    if template == recipe.template:
        # The template is of the tiny network: change what another network has otherwise, then what the template has.
        sized = f'demo/{recipe.mini}.py' if is_mini else f'{recipe.full.format(SIZES[size])}.py'
        tiny, network = (Config.fromfile(config_path(name)) for name in (f'{recipe.full.format("t")}.py', sized))
        of_size, of_template = (find_overrides(tiny.to_dict(), each.to_dict()) for each in (network, cfg))
        of_size.get('model', {}).pop('data_preprocessor', None)  # the demo's images are smaller
        of_template['model'].pop('backbone', None)  # the template's windows are for larger networks
        for name in ('model', 'optim_wrapper', 'custom_hooks', 'auto_scale_lr') if is_mini else ('model',):
            for changed in (of_size, of_template):
                cfg.merge_from_dict({name: changed[name]} if name in changed else {})
        for name in LOADERS if is_mini else ():
            if 'batch_size' not in of_template[name]:
                cfg[name].update(batch_size=network[name].batch_size, num_workers=2)
    if is_mini:
        cfg.model.backbone.init_cfg = None
        cfg.load_from = config_path(f'demo/weights/{recipe.mini}.safetensors')
        if recipe.task == 'classify':
            cfg.optim_wrapper.optimizer.lr = MINI_RATE
    else:
        cfg.model.backbone.init_cfg = {'type': 'Pretrained', 'checkpoint': RELEASED.format(size)}
    return base, cfg


def find_overrides(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What a config that inherits ``old`` has to set to be ``new``."""
    if old.keys() - new.keys():
        return {'_delete_': True, **new}
    changed = {}
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            inner = find_overrides(old[name], value)
            changed |= {name: inner} if inner else {}
        elif name not in old or value != old[name]:
            # mmengine merges a dict into a dict only.
            changed[name] = {'_delete_': True, **value} if isinstance(value, dict) and name in old else value
    return changed


def scale_images(cfg: Config, ratio: float) -> None:
    """Multiply the sizes of images in all pipelines, and those that batches are padded to."""

    def scale(value: Any, is_size: bool = False) -> Any:
        if isinstance(value, dict):
            return type(value)({name: scale(inner, name in PIXELS) for name, inner in value.items()})
        if isinstance(value, (list, tuple)):
            return type(value)(scale(inner, is_size) for inner in value)
        return round(value * ratio) if is_size and type(value) is int else value

    for holder, name in [*((cfg[loader], 'dataset') for loader in LOADERS), (cfg, 'tta_pipeline')]:
        if name in holder:
            holder[name] = scale(holder[name])
    if 'size' in (cfg.model.get('data_preprocessor') or {}):
        cfg.model.data_preprocessor.size = scale(cfg.model.data_preprocessor.size, is_size=True)


def set_length(cfg: Config, num_images: int, epochs: int | None, num_seen: int) -> str:
    """Set epochs or iterations, the interval of about a dozen validations, and the schedules; the length in words."""
    length, by_iters = epochs or max(MIN_EPOCHS, ceil(num_seen / num_images)), 'max_iters' in cfg.train_cfg
    if by_iters:
        length *= ceil(num_images / cfg.train_dataloader.batch_size)
        cfg.default_hooks.logger.interval = max(1, min(50, length // 10))
    interval = max(1, length // (10 if by_iters else 12))
    cfg.train_cfg.update({'max_iters' if by_iters else 'max_epochs': length, 'val_interval': interval})
    cfg.default_hooks.checkpoint.update(interval=interval, save_best='auto')
    warm_up, decay = cfg.param_scheduler
    warm_up.end, decay.end = max(2, length // 20) if by_iters else min(2, length), length
    if 'milestones' in decay:
        decay.milestones = sorted({max(1, length * 2 // 3), max(1, length * 11 // 12)})
    return format_count(length, 'iteration' if by_iters else 'epoch')


def set_data(cfg: Config, dataset: DatasetInfo) -> None:
    """Set the splits of a data set, and its classes."""
    root = make_absolute(dataset.folder)

    def get_name(path: Path) -> str:
        return str(path.relative_to(root) if path.is_relative_to(root) else path)

    for loader in LOADERS:
        split = dataset.splits['train' if loader == 'train_dataloader' else 'val']
        settings = next(iter_leaf_datasets(cfg[loader].dataset))
        settings.data_root, settings.ann_file = str(root), get_name(make_absolute(split.file))
        settings.metainfo.classes = dataset.classes
        if split.labels:
            settings.data_prefix = {'img_path': get_name(split.images), 'seg_map_path': get_name(split.labels)}
            settings.img_suffix, settings.seg_map_suffix = dataset.suffixes
        else:
            settings.data_prefix = {'img': get_name(split.images)} if dataset.has_objects else get_name(split.images)
    if dataset.has_objects:
        cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = str(make_absolute(dataset.splits['val'].file))
    for name, settings in [*iter_settings(cfg.model, 'model'), ('', cfg.get('data_preprocessor'))]:
        # A region proposal network tells objects from background only.
        if isinstance(settings, dict) and 'num_classes' in settings and 'rpn_head' not in name:
            settings.num_classes = len(dataset.classes)


def format_config(base: str, cfg: Config, data: Path) -> str:
    """The text of a config: what it inherits from, and the settings that differ."""
    overrides = find_overrides(Config.fromfile(base).to_dict(), cfg.to_dict())
    # Not the variables from which templates make their settings.
    read = list_known_keys() | {'data_preprocessor'}
    settings = {name: pformat(value, width=100, sort_dicts=False) for name, value in overrides.items() if name in read}
    text = ''.join(f'{name} = {value}\n' for name, value in settings.items())
    return f"""# Made by mmgcvit train --data for the data in {escape_controls(str(data))}.
# Edit it and train it again: mmgcvit train THIS_FILE --work-dir ANOTHER_FOLDER
_base_ = {base!r}
{text}"""


def describe_weights(cfg: Config) -> str:
    """What a training starts from, and what that means."""
    if cfg.get('load_from'):
        return 'a model of digits that comes with mmgcvit, for a first look; good scores need a larger --size and a GPU'
    if not cfg.model.backbone.init_cfg:
        return 'random weights: scores will be low unless there are many thousand images; --pretrained names others'
    weights = cfg.model.backbone.init_cfg.checkpoint
    return f'the weights {weights}{", which are not for commercial use" if "nvidia" in weights else ""}'
