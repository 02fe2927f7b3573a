"""Write the config and the data of dist_smoke.sh: python tools/smoke_config.py CONFIG FOLDER DIVISOR DATA.

FOLDER gets config.py and, unless DATA is ``own``, miniatures of COCO, ADE20K and ImageNet-1K. With a DIVISOR above 1,
the sides of images are divided by it, and no pretrained weights are loaded.
"""

import sys
from pathlib import Path

from mmengine.config import Config

from mmgcvit.config import LOADERS, iter_dicts, scale_sizes
from mmgcvit.datasets import classes, miniature
from mmgcvit.files import write_folder_atomically

NUM_ITERATIONS = 2
MIN_SIDE = 64  # in pixels; image sides are not scaled below it
# Maximum numbers of boxes and queries per image. DINO chooses its queries among encoder tokens: 85 in a 64 px image.
MAX_VALUES = {'nms_pre': 200, 'max_per_img': 50, 'num_queries': 50}


def write_miniatures(folder: Path) -> None:
    """Write the miniatures at the paths that the configs of this project name."""
    with write_folder_atomically(folder) as unfinished:
        miniature.write_miniature_coco(unfinished / 'coco')
        miniature.write_miniature_ade20k(unfinished / 'ade' / 'ADEChallengeData2016')
        miniature.write_miniature_imagenet(unfinished / 'imagenet', classes.list_imagenet_folders())


def shorten_training(cfg: Config) -> None:
    """Train two iterations with two images per process, then save a checkpoint and validate."""
    name, factor = ('max_iters', 1) if 'max_iters' in cfg.train_cfg else ('max_epochs', NUM_ITERATIONS)
    for scheduler in cfg.get('param_scheduler') or []:
        # By default `end` is the end of training. mmengine raises an error if a scheduler begins after it.
        scheduler.setdefault('end', 1000 * cfg.train_cfg[name])
    length = NUM_ITERATIONS // factor
    cfg.train_cfg.pop('dynamic_intervals', None)
    cfg.train_cfg.update({name: length, 'val_interval': length, 'val_begin': 0})
    cfg.default_hooks.checkpoint.update(interval=length, save_begin=0)
    for loader in filter(cfg.get, LOADERS):
        # Batch normalisation of one image with one pixel, as in UPerNet's pooling, is an error.
        cfg[loader].update(batch_size=2 if loader == 'train_dataloader' else 1, num_batch_per_epoch=NUM_ITERATIONS)


def shrink(cfg: Config, divisor: int) -> None:
    """Divide the sides of images, and limit the numbers of boxes, so that the model runs on a CPU in a minute."""
    sized = [cfg[name].dataset for name in LOADERS if cfg.get(name)]
    sized += [cfg.get('data_preprocessor'), cfg.model.get('data_preprocessor'), cfg.model.get('test_cfg')]
    scale_sizes(sized, lambda side: max(side // divisor, min(side, MIN_SIDE)))
    for settings in iter_dicts([cfg.model]):
        settings.update({key: min(settings[key], limit) for key, limit in MAX_VALUES.items() if key in settings})
        if (settings.get('init_cfg') or {}).get('type') == 'Pretrained':
            settings['init_cfg'] = None
    cfg.load_from = None


def main(config: str, folder: str, divisor: str, data: str) -> None:
    if data != 'own' and not Path(folder, 'data').exists():
        write_miniatures(Path(folder, 'data'))
    cfg = Config.fromfile(config)
    # val_dataloader and test_dataloader may be the same object. Copy them, so that each is changed once.
    for name, value in cfg.to_dict().items():
        cfg[name] = value
    shorten_training(cfg)
    if int(divisor) > 1:
        shrink(cfg, int(divisor))
    cfg.dump(Path(folder, 'config.py'))


if __name__ == '__main__':
    main(*sys.argv[1:])
