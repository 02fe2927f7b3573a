"""Train and score a small model on scanned digits.

    mmgcvit demo detect
    mmgcvit demo segment
    mmgcvit demo classify

Writes the dataset into data/digits, unless that folder exists, and the run into the work dir. The detector and the
segmentor start from the weights of a classifier that comes with the project. Each step runs a command of this package
in a new process.
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

from ..config import find_config_folder
from ..errors import UserError, check_installed

DIGITS = Path('data/digits')
DURATION_NOTE = 'This takes a few minutes on two cores; the bar shows the time left.'


class Model(NamedTuple):
    """A model that the demo trains."""

    description: str
    config: str  # file name without suffix, in configs/demo
    folder: str  # name of its folder in the work dir
    min_scores: Mapping[tuple[str, str], float]  # minimum of each score, by (printed name, key in the log)


CLASSIFIER = 'gcvit_digits_cls'
MODELS = {
    'detect': Model(
        'Mask R-CNN, initialised from the classifier that comes with the project',
        'mask_rcnn_gcvit_digits',
        'detector',
        {('box mAP', 'coco/bbox_mAP'): 0.75, ('mask mAP', 'coco/segm_mAP'): 0.75},
    ),
    'segment': Model(
        'UPerNet, initialised from the classifier that comes with the project',
        'upernet_gcvit_digits',
        'segmentor',
        {('mIoU, %', 'mIoU'): 50},
    ),
    'classify': Model(
        'GC ViT on single digits', CLASSIFIER, 'classifier', {('top-1 accuracy, %', 'accuracy/top1'): 97}
    ),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('task', nargs='?', choices=MODELS, default='detect', help='task (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path, default='work_dirs/demo', help='output folder (default: %(default)s)')


def main(args: argparse.Namespace) -> None:
    console = Console(highlight=False)
    model, work_dir = MODELS[args.task], args.work_dir / MODELS[args.task].folder
    folder = find_config_folder(f'demo/{model.config}.py') / 'demo'
    pretrained = []
    if model.config != CLASSIFIER:
        weights = folder / 'weights' / f'{CLASSIFIER}.safetensors'
        pretrained = ['--cfg-options', f'model.backbone.init_cfg.checkpoint={weights}']
    console.print(f'{DURATION_NOTE}\n\n[bold]1 of 2[/bold]  data: scenes of scanned digits')
    write_digits()
    console.print(f'\n[bold]2 of 2[/bold]  {model.folder}: {model.description}; scored on held-out scans')
    start_time = time.monotonic()
    config = folder / f'{model.config}.py'
    run_in_new_process('train', config, '--work-dir', work_dir, '--overwrite', '--progress', *pretrained)
    minutes = (time.monotonic() - start_time) / 60
    from ..evaluation.training_curves import read_curves

    table = Table('model', 'score', 'expected', 'reached', 'minutes')
    too_low, curves = [], read_curves(work_dir)
    for (name, log_key), minimum in model.min_scores.items():
        last_score = curves[log_key][max(curves[log_key])]
        too_low += [name] if last_score < minimum else []
        table.add_row(model.folder, name, f'≥ {minimum:g}', f'{last_score:.4g}', f'{minutes:.1f}')
    console.print()
    console.print(table)
    console.print(f'pictures of ground truth and predictions: {work_dir / "val_images"}', soft_wrap=True)
    console.print(f'log: {work_dir}/*/*.log', soft_wrap=True)
    if too_low:
        raise UserError(
            f'These scores are lower than expected: {", ".join(too_low)}. Compare the versions that '
            "'mmgcvit --version' prints with docs/forks.md. If they agree, report the problem and attach the log"
        )


def run_in_new_process(command: str, *arguments: object) -> None:
    """Run a command of this package in a new process. If the command fails, exit with its exit code."""
    code = subprocess.run([sys.executable, '-m', 'mmgcvit', command, *map(str, arguments)]).returncode
    if code:
        raise SystemExit(code)


def write_digits() -> None:
    """Write the dataset, unless its folder exists. Raise a MissingPackageError if a package for it is missing."""
    check_installed('writing the digits', 'sklearn', 'cv2', 'pycocotools', 'timm')
    if not DIGITS.exists():
        run_in_new_process('digits', DIGITS)
