"""Train on a folder of data, from Python: ``mmgcvit.train``."""

import sys
from pathlib import Path

from mmengine.registry import DefaultScope

from ..datasets.formats import read_folder
from ..datasets.own_data import get_run, make_config
from .resume import require_unused
from .setup import check_machine, check_work_dir, load_config
from .train import train as train_config


def train(
    data: str | Path,
    task: str | None = None,
    size: str | None = None,
    epochs: int | None = None,
    image_size: int | None = None,
    pretrained: str | Path | None = None,
    work_dir: str | Path | None = None,
    device: str = 'auto',
    overwrite: bool = False,
) -> Path:
    """Train on a folder of data, as ``mmgcvit train --data`` does.

    Args:
        data: The folder: COCO, YOLO or Pascal VOC annotations, a folder per class, or images and segmentation maps.
        task: ``'detect'``, ``'segment'`` or ``'classify'``; default: the first that the data allow.
        size: ``'mini'``, ``'tiny'``, ``'small'`` or ``'base'``, to classify also ``'xxtiny'``, ``'xtiny'`` and
            ``'large'``; default: ``'tiny'`` with a GPU, else ``'mini'``.
        epochs: Passes over the training images; default: by their number.
        image_size: The short side that images are resized to, in pixels; default: the template's.
        pretrained: The backbone's weights: a file, an address, ``timm://NAME``, or ``'none'`` for random ones; default:
            those released for the size, or the demo's.
        work_dir: The folder of the run; default: ``work_dirs/`` and the name of the data's.
        device: ``'auto'`` for a GPU where there is one, ``'cpu'``, ``'cuda'`` or ``'cuda:N'``.
        overwrite: Start anew in a work dir with an earlier run's checkpoints.

    Returns:
        The work dir, which :func:`mmgcvit.load` reads.

    Raises:
        UserError: The format of the data is not known, or an argument is not among those allowed.
    """
    check_machine(device)
    dataset = read_folder(data)
    work_dir = get_run(dataset, work_dir)[1]
    if not overwrite:
        require_unused(work_dir)
    check_work_dir(str(work_dir))
    config, message = make_config(dataset, work_dir, task, size, epochs, image_size, pretrained)
    sys.stdout.write(f'{message}\n')
    cfg = load_config(str(config), work_dir=str(work_dir))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        train_config(cfg, overwrite=overwrite)
    return work_dir
