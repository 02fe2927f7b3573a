"""See it work: train a GC ViT classifier of handwritten digits, from it a detector or a segmentor, and score that.

    mmgcvit demo detect
    mmgcvit demo segment

Makes its data set (data/digits) and its work dir below the folder that it is called in. The classifier is trained once,
and again where its config has changed. Each step is a command of this package, in a process of its own.
"""

import argparse
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from ..errors import UserError
from ..hosts.configs import configs_with, digest_of
from .options import Parser
from .screen import INTERRUPTED
from .steps import end_steps_when_terminated, run

DIGITS = Path('data/digits')
# What the digits are made with: the package's extra of that name.
DIGITS_NEED = ('sklearn', 'cv2', 'pycocotools', 'timm')
# The file by which a work dir tells of what config its training has come to the end.
TRAINED = 'trained.sha256'


class Model(NamedTuple):
    """A model of the demo: its config below configs/demo, and its work dir below the demo's.

    ``scores`` are what it reaches at least, by the name that is shown and the one that the host logs. Tests draw
    pictures into ``show_dir`` below the demo's work dir.
    """

    what: str
    config: str
    folder: str
    scores: Mapping[tuple[str, str], float]
    show_dir: str = ''


CLASSIFIER = Model('GC ViT', 'gcvit_digits_cls.py', 'classifier', {('top-1 accuracy, %', 'accuracy/top1'): 97})
MODELS = {
    'detect': Model(
        'Mask R-CNN',
        'mask_rcnn_gcvit_digits.py',
        'detector',
        {('box mAP', 'coco/bbox_mAP'): 0.75, ('mask mAP', 'coco/segm_mAP'): 0.75},
        'predictions',
    ),
    'segment': Model(
        'UPerNet',
        'upernet_gcvit_digits.py',
        'segmentor',
        {('mIoU, %', 'mIoU'): 50},
        'segmentations',
    ),
}


def parse_args() -> argparse.Namespace:
    parser = Parser(description='See it work: train and score a small model of digits.')
    parser.add_argument('task', nargs='?', choices=MODELS, default='detect', help='default: %(default)s')
    parser.add_argument(
        '--work-dir', type=Path, default='work_dirs/demo', help='folder for everything but data (default: %(default)s)'
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> int | None:
    check_digits()
    # Whoever ends this process ends the step that it waits for.
    end_steps_when_terminated()
    console = Console(highlight=False)
    model = MODELS[args.task]
    try:
        minutes = run_steps(model, args.work_dir, console)
    except KeyboardInterrupt:
        console.print('interrupted; a classifier that was trained to its end will be used again')
        return INTERRUPTED
    show_results([(CLASSIFIER, minutes[0]), (model, minutes[1])], args.work_dir, console)
    return None


def check_digits() -> None:
    """Refuse to begin where the data could not be made."""
    missing = [name for name in DIGITS_NEED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"the digits are made with {', '.join(missing)}, not installed here: pip install 'mmgcvit[digits]'"
        )


def run_steps(model: Model, work_dir: Path, console: Console) -> tuple[str, str]:
    """Data, classifier, model, test; the minutes that both models took, as they are shown."""

    def say(number: int, what: str) -> None:
        console.print(f'\n[bold]{number} of 4[/bold]  {what}')

    folder = configs_with(f'demo/{CLASSIFIER.config}') / 'demo'
    first, own = work_dir / CLASSIFIER.folder, work_dir / model.folder
    say(1, 'data: scenes of scanned handwritten digits')
    run('digits', DIGITS)
    config = folder / CLASSIFIER.config
    if is_trained(first, config):
        say(2, f'classifier: trained already, {last_checkpoint(first)}')
        took_first = 'before'
    else:
        say(2, 'classifier: GC ViT on single digits')
        for name in (TRAINED, 'last_checkpoint'):
            (first / name).unlink(missing_ok=True)
        took_first = f'{run("train", config, "--work-dir", first, "--overwrite", "--progress") / 60:.1f}'
        note_trained(first, config)
    say(3, f"{model.folder}: {model.what} on the classifier's weights")
    config = folder / model.config
    start = f'model.backbone.init_cfg.checkpoint={last_checkpoint(first)}'
    took = run('train', config, '--work-dir', own, '--overwrite', '--progress', '--cfg-options', start)
    say(4, 'test: on scans that neither has seen')
    shown = ['--show-dir', work_dir / model.show_dir]
    took += run('test', config, last_checkpoint(own), '--work-dir', own, '--progress', *shown)
    return took_first, f'{took / 60:.1f}'


def last_checkpoint(work_dir: Path) -> str:
    return (work_dir / 'last_checkpoint').read_text().strip()


def is_trained(work_dir: Path, config: Path) -> bool:
    """Whether a finished training of this very config is there."""
    files = [work_dir / TRAINED, work_dir / 'last_checkpoint']
    if not all(file.is_file() for file in files) or not Path(last_checkpoint(work_dir)).is_file():
        return False
    return (work_dir / TRAINED).read_text() == digest_of(config)


def note_trained(work_dir: Path, config: Path) -> None:
    """Note that a training of a config has come to its end."""
    (work_dir / TRAINED).write_text(digest_of(config))


def show_results(minutes: Sequence[tuple[Model, str]], work_dir: Path, console: Console) -> None:
    """The table, and where everything is; a score that is lower than expected fails."""
    from ..visualization.curves import latest_entry

    table = Table('model', 'score', 'expected', 'reached', 'minutes')
    low = []
    for model, took in minutes:
        for (name, logged_as), least in model.scores.items():
            reached = latest_entry(work_dir / model.folder, logged_as)[logged_as]
            low += [name] if reached < least else []
            table.add_row(model.folder, name, f'≥ {least:g}', f'{reached:.4g}', took)
            took = ''
    console.print()
    console.print(table)
    console.print(f'pictures, the truth on the left: {work_dir / model.show_dir}', soft_wrap=True)
    for model, _ in minutes:
        console.print(f'logs: {work_dir / model.folder}/console_*.log', soft_wrap=True)
    if low:
        raise UserError(f'lower than expected: {", ".join(low)}')
