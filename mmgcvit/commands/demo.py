"""See it work: train and score a small model of digits.

    mmgcvit demo detect
    mmgcvit demo segment
    mmgcvit demo classify

Makes its data set (data/digits) and its work dir below the folder that it is called in. Detector and segmentor start
from the classifier that comes with the project, which is trained by the third. Each step is a command of this package,
in a process of its own.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from ..config import configs_with
from ..errors import UserError, check_installed
from .options import Parser

DIGITS = Path('data/digits')
TAKES = 'It takes a few minutes on two cores; the time left is shown when training has begun.'


class Model(NamedTuple):
    """A model of the demo: its config below configs/demo, and its work dir below the demo's.

    ``scores`` are what it reaches at least, by the name that is shown and the one that the host logs.
    """

    what: str
    config: str
    folder: str
    scores: Mapping[tuple[str, str], float]


CLASSIFIER = 'gcvit_digits_cls'
MODELS = {
    'detect': Model(
        'Mask R-CNN on the classifier that comes with the project',
        'mask_rcnn_gcvit_digits',
        'detector',
        {('box mAP', 'coco/bbox_mAP'): 0.75, ('mask mAP', 'coco/segm_mAP'): 0.75},
    ),
    'segment': Model(
        'UPerNet on the classifier that comes with the project',
        'upernet_gcvit_digits',
        'segmentor',
        {('mIoU, %', 'mIoU'): 50},
    ),
    'classify': Model(
        'GC ViT on single digits', CLASSIFIER, 'classifier', {('top-1 accuracy, %', 'accuracy/top1'): 97}
    ),
}


def add_options(parser: Parser) -> None:
    parser.add_argument('task', nargs='?', choices=MODELS, default='detect', help='default: %(default)s')
    parser.add_argument(
        '--work-dir', type=Path, default='work_dirs/demo', help='folder for everything but data (default: %(default)s)'
    )


def main(args: argparse.Namespace) -> None:
    check_digits()
    console = Console(highlight=False)
    model, work_dir = MODELS[args.task], args.work_dir / MODELS[args.task].folder
    folder = configs_with(f'demo/{model.config}.py') / 'demo'
    start = []
    if model.config != CLASSIFIER:
        weights = folder / 'weights' / f'{CLASSIFIER}.safetensors'
        start = ['--cfg-options', f'model.backbone.init_cfg.checkpoint={weights}']
    console.print(f'{TAKES}\n\n[bold]1 of 2[/bold]  data: scenes of scanned handwritten digits')
    run('digits', DIGITS)
    console.print(f'\n[bold]2 of 2[/bold]  {model.folder}: {model.what}; scored on scans that it has not seen')
    began = time.monotonic()
    run('train', folder / f'{model.config}.py', '--work-dir', work_dir, '--overwrite', '--progress', *start)
    show_results(model, (time.monotonic() - began) / 60, work_dir, console)


def run(name: str, *arguments: object) -> None:
    """Run a command of this package in a process of its own, which has said why where it fails."""
    code = subprocess.run([sys.executable, '-m', 'mmgcvit', name, *map(str, arguments)]).returncode
    if code:
        raise SystemExit(code)


def check_digits() -> None:
    """Refuse to begin where the data could not be made."""
    check_installed('making the digits', 'sklearn', 'cv2', 'pycocotools', 'timm')


def show_results(model: Model, minutes: float, work_dir: Path, console: Console) -> None:
    """The table, and where everything is; a score that is lower than expected fails."""
    from ..visualization.curves import read_curves

    table = Table('model', 'score', 'expected', 'reached', 'minutes')
    low, curves = [], read_curves(work_dir)
    for (name, logged_as), least in model.scores.items():
        reached = curves[logged_as][max(curves[logged_as])]
        low += [name] if reached < least else []
        table.add_row(model.folder, name, f'≥ {least:g}', f'{reached:.4g}', f'{minutes:.1f}')
    console.print()
    console.print(table)
    console.print(f'pictures, predictions beside the ground truth: {work_dir / "val_images"}', soft_wrap=True)
    console.print(f'log: {work_dir}/*/*.log', soft_wrap=True)
    if low:
        raise UserError(f'lower than expected: {", ".join(low)}')
