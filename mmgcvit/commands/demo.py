"""Train and score a small model on scanned digits.

    mmgcvit demo detect
    mmgcvit demo segment
    mmgcvit demo classify

Writes its data set (data/digits) and work dir into the current folder. Detector and segmentor start from the classifier
that comes with the project. Each step runs a command of this package in a new process.
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

from ..config import find_configs
from ..errors import UserError, check_installed
from .options import Parser

DIGITS = Path('data/digits')
TAKES = 'This takes a few minutes on two cores; the bar shows the time left.'


class Model(NamedTuple):
    """A model of the demo."""

    description: str
    config: str  # in configs/demo
    folder: str  # in the work dir
    scores: Mapping[tuple[str, str], float]  # minimum by (shown name, logged name)


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
    parser.add_argument('--work-dir', type=Path, default='work_dirs/demo', help='output folder (default: %(default)s)')


def main(args: argparse.Namespace) -> None:
    check_digits()
    console = Console(highlight=False)
    model, work_dir = MODELS[args.task], args.work_dir / MODELS[args.task].folder
    folder = find_configs(f'demo/{model.config}.py') / 'demo'
    start = []
    if model.config != CLASSIFIER:
        weights = folder / 'weights' / f'{CLASSIFIER}.safetensors'
        start = ['--cfg-options', f'model.backbone.init_cfg.checkpoint={weights}']
    console.print(f'{TAKES}\n\n[bold]1 of 2[/bold]  data: scenes of scanned digits')
    run('digits', DIGITS)
    console.print(f'\n[bold]2 of 2[/bold]  {model.folder}: {model.description}; scored on held-out scans')
    began = time.monotonic()
    run('train', folder / f'{model.config}.py', '--work-dir', work_dir, '--overwrite', '--progress', *start)
    show_results(model, (time.monotonic() - began) / 60, work_dir, console)


def run(name: str, *arguments: object) -> None:
    """Run a command of this package in a new process, which prints its own errors."""
    code = subprocess.run([sys.executable, '-m', 'mmgcvit', name, *map(str, arguments)]).returncode
    if code:
        raise SystemExit(code)


def check_digits() -> None:
    """Require the packages that write the digits."""
    check_installed('writing the digits', 'sklearn', 'cv2', 'pycocotools', 'timm')


def show_results(model: Model, minutes: float, work_dir: Path, console: Console) -> None:
    """Print the scores and where the results are.

    Raises:
        UserError: A score is lower than expected.
    """
    from ..visualization.curves import read_curves

    table = Table('model', 'score', 'expected', 'reached', 'minutes')
    low, curves = [], read_curves(work_dir)
    for (name, logged_as), least in model.scores.items():
        reached = curves[logged_as][max(curves[logged_as])]
        low += [name] if reached < least else []
        table.add_row(model.folder, name, f'≥ {least:g}', f'{reached:.4g}', f'{minutes:.1f}')
    console.print()
    console.print(table)
    console.print(f'pictures of ground truth and predictions: {work_dir / "val_images"}', soft_wrap=True)
    console.print(f'log: {work_dir}/*/*.log', soft_wrap=True)
    if low:
        raise UserError(f'lower than expected: {", ".join(low)}')
