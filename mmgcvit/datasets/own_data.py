"""Write a config that trains a network on a folder of data."""

import re
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..config import config_path, names_read, settings_in
from ..errors import UserError, counted, printable, suggest
from ..files import absolute_path, find_free_path, write_text
from .checks.sources import leaf_datasets
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
TASKS = tuple(dict.fromkeys(recipe.task for recipe in RECIPES.values()))
# A template of its own on the smallest network.
MINI_TEMPLATES = {'custom_coco_boxonly': 'custom_coco_small'}
# The template's learning rate is too low for the smallest classifier.
MINI_RATE = 1e-3
# By default a network sees so many images, in at least so many epochs.
SEEN, SEEN_BY_MINI, MIN_EPOCHS = 6000, 1600, 12
MIN_IMAGE_SIZE = 32
# The folder of the config in its work dir; with --overwrite made2, as the earlier run's config names files in made.
MADE = 'made'
# Arguments of transforms that are sizes in pixels.
PIXELS = ('scale', 'scales', 'crop_size', 'size', 'img_scale')
LINE_WIDTH = 100
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def get_run(dataset: DatasetInfo, work_dir: str | Path | None = None) -> tuple[str, Path]:
    """The name of a config for a data set, and the folder of its run."""
    name = re.sub(r'\W+', '_', absolute_path(dataset.folder).name).strip('_') or 'own_data'
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

    The data set gets a validation split where it has none. Nothing in the work dir is replaced.

    Args:
        dataset: What the folder of data holds.
        work_dir: The folder of the run; default: ``work_dirs/`` and the name of the data's.
        task: ``'detect'``, ``'segment'`` or ``'classify'``; default: the first that the data allow.
        size: ``'mini'``, ``'tiny'``, ``'small'`` or ``'base'``, to classify also ``'xxtiny'``, ``'xtiny'`` and
            ``'large'``; default: ``'tiny'`` with a GPU, else ``'mini'``.
        epochs: Passes over the training images; default: by their number.
        image_size: The short side that images are resized to, in pixels; default: the template's.
        pretrained: The backbone's weights: a file, an address, ``timm://NAME``, or ``'none'`` for random ones; default:
            those released for the size, or the demo's.

    Returns:
        The path of the config, and what is trained, in words.

    Raises:
        UserError: An argument is not among those allowed, or there are too few images.
    """
    kind = choose_kind(dataset, task)
    recipe = RECIPES[kind]
    size = size or ('tiny' if torch.cuda.is_available() else MINI)
    check_options(recipe, size, epochs, image_size)
    weights = find_weights(str(pretrained)) if pretrained is not None else None
    name, work_dir = get_run(dataset, work_dir)
    if absolute_path(work_dir).resolve().is_relative_to(absolute_path(dataset.folder).resolve()):
        raise UserError(f'{work_dir} would be within the data; start in another folder, or name one by --work-dir')
    dataset.split_validation()
    folder = find_free_path(work_dir / MADE)
    write_annotations(dataset, folder)

    base, cfg = load_template(recipe, size)
    cfg.work_dir = str(absolute_path(work_dir))
    image_size = image_size or (recipe.image_size if size == MINI else cfg.image_size)
    scale_images(cfg, image_size / cfg.image_size)
    length = set_length(cfg, len(dataset.splits['train'].names), epochs, SEEN_BY_MINI if size == MINI else SEEN)
    set_data(cfg, dataset, folder)
    if pretrained is not None:
        cfg.model.backbone.init_cfg = weights and {'type': 'Pretrained', 'checkpoint': weights}
        cfg.load_from = None
    path = folder / f'{name}.py'
    write_text(path, format_config(base, cfg, absolute_path(dataset.folder)))
    return path, (
        f'{dataset}\ntrains {recipe.network}, --size {size}, at {image_size} px, {length}, from '
        f'{describe_weights(cfg)}\nconfig: {path}'
    )


def choose_kind(dataset: DatasetInfo, task: str | None) -> str:
    """The kind of annotations to learn for a task, by default the first."""
    kind = next((kind for kind in dataset.kinds if task in (None, RECIPES[kind].task)), None)
    if kind is None:
        possible = ' or '.join(dict.fromkeys(RECIPES[kind].task for kind in dataset.kinds))
        raise UserError(f'{dataset.folder} ({dataset.format}) has no annotations to {task}; expected --task {possible}')
    return kind


def check_options(recipe: Recipe, size: str, epochs: int | None, image_size: int | None) -> None:
    """Raise a UserError for a size that there is not, or numbers that are too small."""
    sizes = (MINI, *recipe.sizes)
    if size not in sizes:
        raise UserError(f'--size {size}: to {recipe.task} there are {", ".join(sizes)}{suggest(size, sizes)}')
    for option, value, least in (('epochs', epochs, 1), ('image-size', image_size, MIN_IMAGE_SIZE)):
        if value is not None and value < least:
            raise UserError(f'--{option} {value}: expected at least {least}')


def find_weights(pretrained: str) -> str | None:
    """The weights to start from as a config names them, None for random ones."""
    if pretrained.lower() == 'none' or '://' in pretrained:
        return pretrained if '://' in pretrained else None
    path = absolute_path(Path(pretrained).expanduser())
    if not path.is_file():
        raise UserError(
            f'--pretrained {pretrained}: there is no such file; expected one, an address, timm://NAME or none'
        )
    return str(path)


def load_template(recipe: Recipe, size: str) -> tuple[str, Config]:
    """The path of a template, and its settings with a network of a size."""
    is_mini = size == MINI
    template = MINI_TEMPLATES.get(recipe.template, recipe.template) if is_mini else recipe.template
    base = config_path(f'{template}.py')
    cfg = Config.fromfile(base)
    if template == recipe.template:
        # The template is of the tiny network: set another, and in that what the template changes.
        sized = f'demo/{recipe.mini}.py' if is_mini else f'{recipe.full.format(SIZES[size])}.py'
        tiny, network = (Config.fromfile(config_path(name)) for name in (f'{recipe.full.format("t")}.py', sized))
        changed = find_overrides(tiny.to_dict(), cfg.to_dict())
        if is_mini:
            changed['model'].pop('backbone', None)  # the template's windows are for larger networks
            if 'size' in (cfg.model.get('data_preprocessor') or {}):  # the demo's are for smaller images
                changed['model']['data_preprocessor'] = {'size': cfg.model.data_preprocessor.size}
            for name in LOADERS:
                if 'batch_size' not in changed[name]:
                    cfg[name].update(batch_size=network[name].batch_size, num_workers=2)
        for name in ('model', 'optim_wrapper', 'custom_hooks', 'auto_scale_lr') if is_mini else ('model',):
            network.merge_from_dict({name: changed[name]} if name in changed else {})
            cfg[name] = network.get(name)
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
    length = epochs or max(MIN_EPOCHS, ceil(num_seen / num_images))
    unit = 'max_iters' if 'max_iters' in cfg.train_cfg else 'max_epochs'
    interval = max(1, length // 12)
    if unit == 'max_iters':
        length *= ceil(num_images / cfg.train_dataloader.batch_size)
        interval = max(1, length // 10)
        cfg.default_hooks.logger.interval = min(50, interval)
    cfg.train_cfg.update({unit: length, 'val_interval': interval})
    cfg.default_hooks.checkpoint.update(interval=interval, save_best='auto')
    warm_up, decay = cfg.param_scheduler
    warm_up.end, decay.end = max(2, length // 20) if unit == 'max_iters' else min(2, length), length
    if 'milestones' in decay:
        decay.milestones = sorted({max(1, length * 2 // 3), max(1, length * 11 // 12)})
    return counted(length, 'iteration' if unit == 'max_iters' else 'epoch')


def set_data(cfg: Config, dataset: DatasetInfo, folder: Path) -> None:
    """Set the splits of a data set, and its classes."""
    has_own_files = dataset.splits['train'].file.parent != folder
    root = absolute_path(dataset.folder if has_own_files else folder)

    def get_name(path: Path) -> str:
        return str(path.relative_to(root) if path.is_relative_to(root) else path)

    for loader in LOADERS:
        split = dataset.splits['train' if loader == 'train_dataloader' else 'val']
        settings = next(leaf_datasets(cfg[loader].dataset))
        settings.data_root, settings.ann_file = str(root), get_name(absolute_path(split.file))
        settings.metainfo.classes = dataset.classes
        if split.labels:
            settings.data_prefix = {'img_path': get_name(split.images), 'seg_map_path': get_name(split.labels)}
            settings.img_suffix, settings.seg_map_suffix = dataset.suffixes
        else:
            settings.data_prefix = {'img': get_name(split.images)} if dataset.has_objects else get_name(split.images)
    if dataset.has_objects:
        cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = str(absolute_path(dataset.splits['val'].file))
    for name, settings in [*settings_in(cfg.model, 'model'), ('', cfg.get('data_preprocessor'))]:
        # A region proposal network tells objects from background only.
        if isinstance(settings, dict) and 'num_classes' in settings and 'rpn_head' not in name:
            settings.num_classes = len(dataset.classes)


def format_config(base: str, cfg: Config, data: Path) -> str:
    """The text of a config: what it inherits from, and the settings that differ."""
    overrides = find_overrides(Config.fromfile(base).to_dict(), cfg.to_dict())
    # Not the variables from which templates make their settings.
    read = names_read() | {'data_preprocessor'}
    lines = {name: format_value(value) for name, value in overrides.items() if name in read}
    for name in ('dataloader', 'evaluator'):
        if f'val_{name}' in lines and cfg[f'test_{name}'] == cfg[f'val_{name}']:
            lines.pop(f'test_{name}', None)  # behind the other
            lines[f'test_{name}'] = f'val_{name}'
    text = ''.join(f'{name} = {value}\n' for name, value in lines.items())
    return f"""# Made by mmgcvit train --data for the data in {printable(str(data))}.
# Edit it and train it again: mmgcvit train THIS_FILE --work-dir ANOTHER_FOLDER
_base_ = {base!r}
{text}"""


def format_value(value: Any, indent: str = '') -> str:
    """A setting as configs are written. mmengine's own text puts each number of a size on a line of its own."""
    inner = f'{indent}    '
    if isinstance(value, dict) and all(str(name).isidentifier() for name in value):
        opening, closing, items = 'dict(', ')', [f'{name}={format_value(each, inner)}' for name, each in value.items()]
    elif isinstance(value, list):
        opening, closing, items = '[', ']', [format_value(each, inner) for each in value]
    else:
        return repr(value)
    line = f'{opening}{", ".join(items)}{closing}'
    if len(indent) + len(line) <= LINE_WIDTH and '\n' not in line:
        return line
    return ''.join([f'{opening}\n', *(f'{inner}{item},\n' for item in items), f'{indent}{closing}'])


def describe_weights(cfg: Config) -> str:
    """What a training starts from, and what that means."""
    if cfg.get('load_from'):
        return (
            'a model of digits that comes with mmgcvit: for a first look in minutes. Good scores want a larger '
            '--size, and a GPU'
        )
    if cfg.model.backbone.init_cfg:
        checkpoint = cfg.model.backbone.init_cfg.checkpoint
        return f'the weights {checkpoint}{", which are not for commercial use" if "nvidia" in checkpoint else ""}'
    return 'random weights: scores will be low unless there are many thousand images; --pretrained names others'
