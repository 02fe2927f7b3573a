"""Write a config that trains a network on a folder of data."""

import inspect
import re
from copy import deepcopy
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ..config import config_path, settings_in
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
    """How a kind of annotations is learned.

    Attributes:
        task: As ``--task`` names it.
        network: Its name in words.
        template: The config for own data, on the tiny network.
        full: The config of the network in its sizes.
        mini: The config of the smallest network, and of its weights.
        mini_template: The template for the smallest network.
        side: The side of images for the smallest network, in pixels.
        batch: Images in an iteration of the smallest network.
        sizes: The other sizes.
    """

    task: str
    network: str
    template: str
    full: str
    mini: str
    mini_template: str
    side: int
    batch: int = 8
    sizes: tuple[str, ...] = ('tiny', 'small', 'base')


DETECTOR = {'full': 'mask_rcnn_gcvit_{}', 'mini': 'mask_rcnn_gcvit_digits', 'side': 192}
RECIPES = {
    'boxes': Recipe('detect', 'Faster R-CNN', 'custom_coco_boxonly', mini_template='custom_coco_small', **DETECTOR),
    'masks': Recipe('segment', 'Mask R-CNN', 'custom_coco', mini_template='custom_coco', **DETECTOR),
    'labels': Recipe(
        *('segment', 'UPerNet', 'custom_seg', 'upernet_gcvit_{}', 'upernet_gcvit_digits', 'custom_seg', 128)
    ),
    'classes': Recipe(
        *('classify', 'a classifier', 'custom_cls', 'gcvit_{}_in1k', 'gcvit_digits_cls', 'custom_cls', 64),
        sizes=tuple(SIZES),
    ),
}
TASKS = tuple(dict.fromkeys(recipe.task for recipe in RECIPES.values()))
# The template's learning rate is too low for the smallest classifier.
MINI_RATE = 1e-3
# By default a network sees so many images, in so many epochs at least.
SEEN, SEEN_BY_MINI, FEWEST_EPOCHS = 6000, 1600, 12
LEAST_SIDE = 32
# The folder of a made config in its work dir; with --overwrite made2, as the earlier run's config names files in made.
MADE = 'made'
# Arguments of transforms that are sizes in pixels.
PIXELS = ('scale', 'scales', 'crop_size', 'size', 'img_scale')
# What is written into a made config: not the variables by which templates write their settings.
SETTINGS = {*inspect.signature(Runner.__init__).parameters, 'auto_scale_lr', 'data_preprocessor', 'tta_pipeline'}
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

    The arguments are those of :func:`mmgcvit.train`. The data set gets a validation split where it has none. Nothing in
    the work dir is replaced.

    Returns:
        The path of the config, and what is trained, in words.

    Raises:
        UserError: An argument is not among those allowed, or there are too few images.
    """
    kind = next((kind for kind in dataset.kinds if task in (None, RECIPES[kind].task)), None)
    if kind is None:
        possible = ' or '.join(dict.fromkeys(RECIPES[kind].task for kind in dataset.kinds))
        raise UserError(f'{dataset.folder} ({dataset.format}) has no annotations to {task}; expected --task {possible}')
    recipe = RECIPES[kind]
    size = size or ('tiny' if torch.cuda.is_available() else MINI)
    sizes = (MINI, *recipe.sizes)
    if size not in sizes:
        raise UserError(f'--size {size}: to {recipe.task} there are {", ".join(sizes)}{suggest(size, sizes)}')
    for option, value, least in (('epochs', epochs, 1), ('image-size', image_size, LEAST_SIDE)):
        if value is not None and value < least:
            raise UserError(f'--{option} {value}: expected at least {least}')
    weights = None if pretrained is None else find_weights(str(pretrained))
    name, work_dir = get_run(dataset, work_dir)
    if absolute_path(work_dir).resolve().is_relative_to(absolute_path(dataset.folder).resolve()):
        raise UserError(f'{work_dir} would be within the data; start in another folder, or name one by --work-dir')
    dataset.split_validation()
    base, cfg = load_recipe(recipe, size)
    side = image_size or (recipe.side if size == MINI else cfg.image_size)
    scale_images(cfg, side / cfg.image_size)
    count = len(dataset.splits['train'].names)
    epochs = epochs or max(FEWEST_EPOCHS, ceil((SEEN_BY_MINI if size == MINI else SEEN) / count))
    if kind == 'labels':
        length = epochs * ceil(count / (recipe.batch if size == MINI else cfg.train_dataloader.batch_size))
        set_length(cfg, 'max_iters', length)
    else:
        length = epochs
        set_length(cfg, 'max_epochs', length)
    if pretrained is not None:
        cfg.model.backbone.init_cfg = weights and {'type': 'Pretrained', 'checkpoint': weights}
        cfg.load_from = None
    folder = find_free_path(work_dir / MADE)
    write_annotations(dataset, folder)
    set_data(cfg, dataset, folder)
    cfg.work_dir = str(absolute_path(work_dir))
    path = folder / f'{name}.py'
    write_text(path, format_config(base, cfg, absolute_path(dataset.folder)))
    unit = 'iteration' if kind == 'labels' else 'epoch'
    return path, (
        f'{dataset}\ntrains {recipe.network}, --size {size}, at {side} px, {counted(length, unit)}, from '
        f'{describe_weights(cfg)}\nconfig: {path}'
    )


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


def load_recipe(recipe: Recipe, size: str) -> tuple[str, Config]:
    """The path of a config to inherit from, and a network of this size with all that the template adds to it."""
    is_mini = size == MINI
    template_path = config_path(f'{recipe.mini_template if is_mini else recipe.template}.py')
    template = Config.fromfile(template_path)
    if is_mini and recipe.mini_template != recipe.template:
        base, cfg = template_path, template
    else:
        network = config_path(f'demo/{recipe.mini}.py' if is_mini else f'{recipe.full.format(SIZES[size])}.py')
        base, cfg = network if is_mini else template_path, Config.fromfile(network)
        inherited = Config.fromfile(config_path(f'{recipe.full.format("t")}.py'))
        overrides = find_overrides(inherited.to_dict(), template.to_dict())
        if is_mini:
            overrides['model'].pop('backbone', None)  # the template's windows are for larger networks
        cfg.merge_from_dict(overrides)
    if is_mini:
        # The demo's are for digits of 128 px.
        for name in (*LOADERS, 'tta_pipeline', 'param_scheduler'):
            if name in template:
                cfg[name] = {**cfg[name], 'dataset': template[name].dataset} if name in LOADERS else template[name]
        if 'size' in cfg.model.get('data_preprocessor', {}):
            cfg.model.data_preprocessor.size = template.model.data_preprocessor.size
        cfg.model.backbone.init_cfg = None
        cfg.load_from = config_path(f'demo/weights/{recipe.mini}.safetensors')
        if recipe.task == 'classify':
            cfg.optim_wrapper.optimizer.lr = MINI_RATE
    else:
        cfg.model.backbone.init_cfg = {'type': 'Pretrained', 'checkpoint': RELEASED.format(size)}
    return base, cfg


def find_overrides(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What a config that inherits ``old`` has to write to be ``new``, in mmengine's terms."""
    if old.keys() - new.keys():
        return {'_delete_': True, **new}
    changed = {}
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            inner = find_overrides(old[name], value)
            changed |= {name: inner} if inner else {}
        elif name not in old or value != old[name]:
            changed[name] = value
    return changed


def scale_images(cfg: Config, ratio: float) -> None:
    """Multiply the sizes of images in all pipelines, and in what batches are padded to."""
    for name in LOADERS:
        cfg[name].dataset = scale_sizes(cfg[name].dataset, ratio)
    if 'tta_pipeline' in cfg:
        cfg.tta_pipeline = scale_sizes(cfg.tta_pipeline, ratio)
    if cfg.model.get('data_preprocessor'):
        cfg.model.data_preprocessor = scale_sizes(cfg.model.data_preprocessor, ratio)


def scale_sizes(value: Any, ratio: float, is_size: bool = False) -> Any:
    """A value with all sizes in pixels in it multiplied."""
    if isinstance(value, dict):
        return type(value)({name: scale_sizes(inner, ratio, name in PIXELS) for name, inner in value.items()})
    if isinstance(value, (list, tuple)):
        return type(value)(scale_sizes(inner, ratio, is_size) for inner in value)
    return round(value * ratio) if is_size and type(value) is int else value


def set_length(cfg: Config, unit: str, length: int) -> None:
    """Train for so many ``max_epochs`` or ``max_iters``, with about a dozen validations; schedules follow."""
    is_iters = unit == 'max_iters'
    interval = max(1, length // (10 if is_iters else 12))
    cfg.train_cfg.update({unit: length, 'val_interval': interval})
    cfg.default_hooks.checkpoint.update(interval=interval, save_best='auto')
    if is_iters:
        cfg.default_hooks.logger.interval = min(50, interval)
    warm_up, decay = cfg.param_scheduler
    warm_up.end, decay.end = max(2, length // 20) if is_iters else min(2, length), length
    if 'milestones' in decay:
        decay.milestones = sorted({max(1, length * 2 // 3), max(1, length * 11 // 12)})


def set_data(cfg: Config, dataset: DatasetInfo, folder: Path) -> None:
    """Read the splits of a data set, with its classes."""
    is_own_file = dataset.splits['train'].file.parent != folder
    root = absolute_path(dataset.folder if is_own_file else folder)

    def name(path: Path) -> str:
        return str(path.relative_to(root) if path.is_relative_to(root) else path)

    for loader in LOADERS:
        split = dataset.splits['train' if loader == 'train_dataloader' else 'val']
        settings = next(leaf_datasets(cfg[loader].dataset))
        settings.data_root, settings.ann_file = str(root), name(absolute_path(split.file))
        settings.metainfo.classes = dataset.classes
        if split.labels:
            settings.data_prefix = {'img_path': name(split.images), 'seg_map_path': name(split.labels)}
            settings.img_suffix, settings.seg_map_suffix = dataset.suffixes
        else:
            settings.data_prefix = {'img': name(split.images)} if dataset.has_objects else name(split.images)
    if dataset.has_objects:
        cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = str(absolute_path(dataset.splits['val'].file))
    for place, settings in [*settings_in(cfg.model, 'model'), ('', cfg.get('data_preprocessor'))]:
        # A region proposal network tells objects from background only.
        if isinstance(settings, dict) and 'num_classes' in settings and 'rpn_head' not in place:
            settings.num_classes = len(dataset.classes)


def format_config(base: str, cfg: Config, data: Path) -> str:
    """The text of a config: what it inherits from, and the settings that it has otherwise."""
    overrides = find_overrides(Config.fromfile(base).to_dict(), deepcopy(cfg).to_dict())
    lines = {name: format_value(value) for name, value in overrides.items() if name in SETTINGS}
    for name in ('dataloader', 'evaluator'):
        if cfg[f'test_{name}'] == cfg[f'val_{name}'] and f'val_{name}' in lines:
            lines.pop(f'test_{name}', None)  # behind the other
            lines[f'test_{name}'] = f'val_{name}'
    text = ''.join(f'{name} = {value}\n' for name, value in lines.items())
    return f"""# Made by mmgcvit train --data for the data in {printable(str(data))}.
# Edit it and train it again: mmgcvit train THIS_FILE --work-dir ANOTHER_FOLDER
_base_ = {base!r}
{text}"""


def format_value(value: Any, indent: str = '') -> str:
    """A setting as configs are written, in several lines where one would be too long."""
    inner = f'{indent}    '
    if isinstance(value, dict) and all(str(name).isidentifier() for name in value):
        opening, closing, items = 'dict(', ')', [f'{name}={format_value(each, inner)}' for name, each in value.items()]
    elif isinstance(value, (list, tuple)):
        opening, closing = '[]' if isinstance(value, list) else '()'
        items = [format_value(each, inner) for each in value]
    else:
        return repr(value)
    comma = ',' if isinstance(value, tuple) and len(value) == 1 else ''
    line = f'{opening}{", ".join(items)}{comma}{closing}'
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
