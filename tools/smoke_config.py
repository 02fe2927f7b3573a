"""Write the config and the data of dist_smoke.sh.

    python tools/smoke_config.py CONFIG FOLDER DIVISOR DATA [PROCESSES] [KEY=VALUE ...]

FOLDER gets config.py and, unless DATA is ``own``, miniatures of COCO, ADE20K and ImageNet-1K, which
have enough images for all batches of PROCESSES (default: 1). With a DIVISOR above 1, the sides of
images are divided by it, and no pretrained weights are loaded. KEY=VALUE are the settings that the
processes get as ``--cfg-options``: they may change batch sizes.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from make_digits import (
    SPLITS,
    Scene,
    SceneComposer,
    draw_labels,
    write_ade20k,
    write_coco,
    write_folder_atomically,
)
from mmengine.config import Config
from mmengine.registry import DATASETS
from numpy.typing import NDArray

from mmgcvit.commands.main import run_command
from mmgcvit.commands.options import check_at_least
from mmgcvit.datasets.coco_categories import list_coco_categories
from mmgcvit.errors import UserError
from mmgcvit.host.cfg_options import parse_cfg_options
from mmgcvit.host.config import LOADERS, enter_scope, iter_dicts, read_config
from mmgcvit.host.files import write_image

NUM_ITERATIONS = 2
# Config keys whose ints are sizes of images in pixels. Their floats are ratios.
SIZE_KEYS = frozenset(
    {'scale', 'scales', 'crop_size', 'size', 'img_scale', 'img_scales', 'max_size', 'stride'}
)
MIN_SIDE = 64  # in pixels; image sides are not scaled below it
# Maximum numbers of boxes and queries per image. DINO chooses its queries among encoder tokens: 85
# in a 64 px image.
MAX_VALUES = {'nms_pre': 200, 'max_per_img': 50, 'num_queries': 50}

# Images in each split, also if the processes need fewer. They have all shapes below.
MIN_IMAGES = {'train': 16, 'val': 6}
# Shapes (height, width), used in turn. The first two lists have common shapes of the datasets, the
# third small ones.
COCO_SHAPES = ((480, 640), (640, 480), (427, 640), (640, 427), (640, 640), (360, 640))
ADE20K_SHAPES = ((512, 683), (683, 512), (512, 512), (450, 600))
IMAGENET_SHAPES = ((48, 64), (64, 48), (56, 56))
NUM_ADE20K_CLASSES = 150


def count_needed_images(cfg: Config, processes: int) -> dict[str, int]:
    """Return how many images the batches of all processes have together, by dataloader."""
    needed = {}
    for name in filter(cfg.get, LOADERS):
        loader = cfg[name]
        needed[name] = loader.num_batch_per_epoch * loader.batch_size * processes
    return needed


def check_own_data(cfg: Config, needed: Mapping[str, int], processes: int) -> None:
    """Raise a UserError if a dataset of the config has fewer images than the processes need."""
    enter_scope(cfg)
    for name, number in needed.items():
        num_images = len(DATASETS.build(cfg[name].dataset))
        if num_images < number:
            raise UserError(
                f'{name} has {num_images} images, and {processes} processes need {number}: '
                f'{cfg[name].num_batch_per_epoch} batches of {cfg[name].batch_size} each. Use '
                'fewer processes, or more images'
            )


def ensure_miniatures(folder: Path, needed: Mapping[str, int]) -> None:
    """Write the miniatures, unless the folder has some with enough images from an earlier call."""
    num_images = dict(MIN_IMAGES)
    for name, number in needed.items():
        split = 'train' if name == 'train_dataloader' else 'val'
        num_images[split] = max(num_images[split], number)
    if folder.exists():
        counts = {split: len(list((folder / 'coco').glob(f'{split}2017/*'))) for split in SPLITS}
        if all(counts[split] >= num_images[split] for split in SPLITS):
            return
        shutil.rmtree(folder)
    write_miniatures(folder, num_images)


def write_miniatures(folder: Path, num_images: Mapping[str, int]) -> None:
    """Write miniatures with at least ``num_images`` in each split, at the paths that the configs of
    this project name.
    """
    from timm.data import ImageNetInfo  # it takes seconds, and DATA=own does not need it

    categories = list_coco_categories()
    # mmpretrain has a list of the class names only, not of the folders.
    class_folders = ImageNetInfo('imagenet-1k').label_names()
    with write_folder_atomically(folder) as unfinished:
        for split in SPLITS:
            composer = SceneComposer(split)
            shapes = islice(cycle(COCO_SHAPES), num_images[split])
            scenes = (composer.compose(shape, smallest=2) for shape in shapes)
            choose_category = partial(choose_class, composer, num_classes=len(categories))
            write_coco(unfinished / 'coco', scenes, split, categories, choose_category)

            composer = SceneComposer(split)
            scenes = map(composer.compose, islice(cycle(ADE20K_SHAPES), num_images[split]))
            root = unfinished / 'ade' / 'ADEChallengeData2016'
            write_ade20k(root, scenes, split, partial(label_horizon, composer))

            root = unfinished / 'imagenet' / split
            copies = ceil(num_images[split] / len(class_folders))
            write_miniature_imagenet(root, SceneComposer(split), class_folders, copies)


def label_horizon(composer: SceneComposer, scene: Scene) -> NDArray[np.uint8]:
    """Return a segmentation map, (height, width): each half has a random class, over which the
    digits are drawn.

    Labels run from 1 to the number of classes.
    """
    above, below = composer.rng.integers(1, NUM_ADE20K_CLASSES, size=2, endpoint=True)
    labels = np.full(scene.unclear.shape, above, dtype=np.uint8)
    labels[len(labels) // 2 :] = below
    classes = [choose_class(composer, digit, NUM_ADE20K_CLASSES) for digit in scene.labels]
    return draw_labels(scene, labels, [1 + index for index in classes])


def choose_class(composer: SceneComposer, digit: int, num_classes: int) -> int:
    """Choose a random class index ending in ``digit``."""
    return int(composer.rng.choice(range(digit, num_classes, 10)))


def write_miniature_imagenet(
    root: Path, composer: SceneComposer, class_folders: Sequence[str], copies: int
) -> None:
    """Write ``<root>/<folder>/*.JPEG``, ``copies`` images in each class folder."""
    for index, folder in enumerate(class_folders):
        scans = [scan for scan in composer.scans if composer.digits[scan] == index % 10]
        shape = IMAGENET_SHAPES[index % len(IMAGENET_SHAPES)]
        for copy in range(copies):
            image = composer.compose_single(composer.rng.choice(scans), shape)
            write_image(root / folder / f'{folder}_{copy + 1}.JPEG', image[..., ::-1])


def shorten_training(cfg: Config) -> None:
    """Train two iterations with two images per process, then save a checkpoint and validate."""
    name, length = 'max_epochs', 1
    if 'max_iters' in cfg.train_cfg:
        name, length = 'max_iters', NUM_ITERATIONS
    for scheduler in cfg.get('param_scheduler') or []:
        # By default `end` is the end of training. mmengine raises an error if a scheduler begins
        # after it.
        scheduler.setdefault('end', 1000 * cfg.train_cfg[name])
    cfg.train_cfg.pop('dynamic_intervals', None)
    cfg.train_cfg.update({name: length, 'val_interval': length, 'val_begin': 0})
    cfg.default_hooks.checkpoint.update(interval=length, save_begin=0)
    for loader in filter(cfg.get, LOADERS):
        # Batch normalisation of one image with one pixel, as in UPerNet's pooling, is an error.
        batch_size = 2 if loader == 'train_dataloader' else 1
        cfg[loader].update(batch_size=batch_size, num_batch_per_epoch=NUM_ITERATIONS)


def shrink(cfg: Config, divisor: int) -> None:
    """Divide the sides of images, and limit the numbers of boxes, so that the model runs on a CPU
    in a minute.
    """
    sized = [cfg[name].dataset for name in LOADERS if cfg.get(name)]
    sized.append(cfg.get('data_preprocessor'))
    sized += [cfg.model.get(name) for name in ('data_preprocessor', 'test_cfg')]
    scale_sizes(sized, lambda side: max(side // divisor, min(side, MIN_SIDE)))
    for settings in iter_dicts([cfg.model]):
        for key in settings.keys() & MAX_VALUES:
            settings[key] = min(settings[key], MAX_VALUES[key])
        if (settings.get('init_cfg') or {}).get('type') == 'Pretrained':
            settings['init_cfg'] = None
    cfg.load_from = None


def scale_sizes(cfg: Any, scale: Callable[[int], int]) -> None:
    """Replace each image size in pixels (an int under one of :data:`SIZE_KEYS`) in nested configs,
    in place.
    """

    def convert(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(map(convert, value))
        return scale(value) if type(value) is int else value

    for settings in iter_dicts(cfg):
        settings.update({key: convert(settings[key]) for key in settings.keys() & SIZE_KEYS})


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', type=Path)
    parser.add_argument('folder', type=Path)
    parser.add_argument('divisor', type=int)
    parser.add_argument('data', choices=('miniature', 'own'))
    parser.add_argument('processes', type=int, nargs='?', default=1)
    parser.add_argument('cfg_options', nargs='*', metavar='KEY=VALUE')


def main(args: argparse.Namespace) -> None:
    check_at_least(args, divisor=1, processes=1)
    prepare(args.config, args.folder, args.divisor, args.data, args.processes, args.cfg_options)


def prepare(
    config: str | Path,
    folder: Path,
    divisor: int,
    data: str,
    processes: int = 1,
    cfg_options: Sequence[str] = (),
) -> None:
    """Write a config and its data. The arguments are those of the command."""
    cfg = read_config(config)
    # val_dataloader and test_dataloader may be the same object. Copy them, so that each is changed
    # once.
    for name, value in cfg.to_dict().items():
        cfg[name] = value
    shorten_training(cfg)
    if divisor > 1:
        shrink(cfg, divisor)
    folder.mkdir(parents=True, exist_ok=True)
    cfg.dump(folder / 'config.py')
    cfg.merge_from_dict(parse_cfg_options(cfg_options))
    needed = count_needed_images(cfg, processes)
    if data == 'own':
        check_own_data(cfg, needed, processes)
    else:
        ensure_miniatures(folder / 'data', needed)


if __name__ == '__main__':
    run_command(sys.modules[__name__])
