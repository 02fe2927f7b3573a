"""Write the config and the data of dist_smoke.sh: python tools/smoke_config.py CONFIG FOLDER
DIVISOR DATA.

FOLDER gets config.py and, unless DATA is ``own``, miniatures of COCO, ADE20K and ImageNet-1K. With
a DIVISOR above 1, the sides of images are divided by it, and no pretrained weights are loaded.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice
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
from numpy.typing import NDArray

from mmgcvit.config import LOADERS, iter_dicts
from mmgcvit.datasets.records import list_coco_categories
from mmgcvit.files import write_image

NUM_ITERATIONS = 2
# Config keys whose ints are sizes of images in pixels. Their floats are ratios.
SIZE_KEYS = frozenset(
    {'scale', 'scales', 'crop_size', 'size', 'img_scale', 'img_scales', 'max_size', 'stride'}
)
MIN_SIDE = 64  # in pixels; image sides are not scaled below it
# Maximum numbers of boxes and queries per image. DINO chooses its queries among encoder tokens: 85
# in a 64 px image.
MAX_VALUES = {'nms_pre': 200, 'max_per_img': 50, 'num_queries': 50}

NUM_COCO_IMAGES, NUM_ADE20K_IMAGES = {'train': 16, 'val': 6}, {'train': 8, 'val': 4}
# Shapes (height, width), used in turn. The first two lists have common shapes of the datasets, the
# third small ones.
COCO_SHAPES = ((480, 640), (640, 480), (427, 640), (640, 427), (640, 640), (360, 640))
ADE20K_SHAPES = ((512, 683), (683, 512), (512, 512), (450, 600))
IMAGENET_SHAPES = ((48, 64), (64, 48), (56, 56))
NUM_ADE20K_CLASSES = 150


def write_miniatures(folder: Path) -> None:
    """Write the miniatures at the paths that the configs of this project name."""
    from timm.data import ImageNetInfo  # it takes seconds, and DATA=own does not need it

    categories = list_coco_categories()
    # mmpretrain has a list of the class names only, not of the folders.
    class_folders = ImageNetInfo('imagenet-1k').label_names()
    with write_folder_atomically(folder) as unfinished:
        for split in SPLITS:
            composer = SceneComposer(split)
            shapes = islice(cycle(COCO_SHAPES), NUM_COCO_IMAGES[split])
            scenes = (composer.compose(shape, smallest=2) for shape in shapes)
            choose_category = partial(choose_class, composer, num_classes=len(categories))
            write_coco(unfinished / 'coco', scenes, split, categories, choose_category)

            composer = SceneComposer(split)
            scenes = map(composer.compose, islice(cycle(ADE20K_SHAPES), NUM_ADE20K_IMAGES[split]))
            root = unfinished / 'ade' / 'ADEChallengeData2016'
            write_ade20k(root, scenes, split, partial(label_horizon, composer))

            write_miniature_imagenet(
                unfinished / 'imagenet' / split, SceneComposer(split), class_folders
            )


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
    root: Path, composer: SceneComposer, class_folders: Sequence[str]
) -> None:
    """Write ``<root>/<folder>/*.JPEG``, one image in each class folder."""
    for index, folder in enumerate(class_folders):
        scans = [scan for scan in composer.scans if composer.digits[scan] == index % 10]
        shape = IMAGENET_SHAPES[index % len(IMAGENET_SHAPES)]
        image = composer.compose_single(composer.rng.choice(scans), shape)
        write_image(root / folder / f'{folder}_{index + 1}.JPEG', image[..., ::-1])


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


def main(config: str, folder: str, divisor: str, data: str) -> None:
    if data != 'own' and not Path(folder, 'data').exists():
        write_miniatures(Path(folder, 'data'))
    cfg = Config.fromfile(config)
    # val_dataloader and test_dataloader may be the same object. Copy them, so that each is changed
    # once.
    for name, value in cfg.to_dict().items():
        cfg[name] = value
    shorten_training(cfg)
    if int(divisor) > 1:
        shrink(cfg, int(divisor))
    cfg.dump(Path(folder, 'config.py'))


if __name__ == '__main__':
    main(*sys.argv[1:])
