"""See it work: train a GC ViT classifier of handwritten digits, from it a detector or a segmentor, and score that.

    mmgcvit demo detect
    mmgcvit demo segment

Makes its data set (data/digits) and its work dir below the folder that it is called in. The classifier is trained once,
and again where its config has changed. Each step is a command of this package, in a process of its own.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from ..errors import UserError
from ..hosts.configs import configs_with, digest_of
from ..visualization.curves import latest_entry
from .steps import INTERRUPTED, end_steps_when_terminated, run

DIGITS = Path('data/digits')
# What the digits are made with: the package's extra of that name.
DIGITS_NEED = ('sklearn', 'cv2', 'pycocotools', 'timm')


class Score(NamedTuple):
    """A score that a demo reaches.

    Attributes:
        name: What to call it.
        metric: What the host calls it.
        least: What it is at least.
    """

    name: str
    metric: str
    least: float


class Demo(NamedTuple):
    """What is trained on the classifier's weights.

    Attributes:
        what: The model.
        config: Below ``configs/demo``.
        folder: Its work dir, below the demo's.
        show_dir: Where pictures are drawn, below the demo's work dir.
        pictures: Where the host puts them, below ``show_dir``.
        scores: What it reaches.
    """

    what: str
    config: str
    folder: str
    show_dir: str
    pictures: str
    scores: tuple[Score, ...]


CLASSIFIER = 'gcvit_digits_cls.py'
# The file by which a work dir tells of what config its training has come to the end.
TRAINED = 'trained.sha256'
CLASSIFIER_SCORES = (Score('top-1 accuracy, %', 'accuracy/top1', 97.0),)
DEMOS = {
    'detect': Demo(
        'Mask R-CNN',
        'mask_rcnn_gcvit_digits.py',
        'detector',
        'predictions',
        '.',
        (Score('box mAP', 'coco/bbox_mAP', 0.75), Score('mask mAP', 'coco/segm_mAP', 0.75)),
    ),
    'segment': Demo(
        'UPerNet',
        'upernet_gcvit_digits.py',
        'segmentor',
        'segmentations',
        'vis_data/vis_image',
        (Score('mIoU, %', 'mIoU', 50.0),),
    ),
}


class Trained(NamedTuple):
    """A model of the demo, once it is trained.

    Attributes:
        name: What to call it.
        work_dir: Where its logs are.
        scores: What it should reach.
        seconds: How long it took; None where an earlier demo has trained it.
    """

    name: str
    work_dir: Path
    scores: tuple[Score, ...]
    seconds: float | None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('task', nargs='?', choices=DEMOS, default='detect', help='default: %(default)s')
    parser.add_argument(
        '--work-dir', type=Path, default='work_dirs/demo', help='folder for everything but data (default: %(default)s)'
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> int | None:
    check_digits()
    # Whoever ends this process ends the step that it waits for.
    end_steps_when_terminated()
    console = Console(highlight=False)
    try:
        done = run_steps(DEMOS[args.task], args.work_dir, console)
    except KeyboardInterrupt:
        console.print('interrupted; a classifier that was trained to its end will be used again')
        return INTERRUPTED
    show_results(DEMOS[args.task], args.work_dir, done, console)
    return None


def check_digits() -> None:
    """Refuse to begin where the data could not be made.

    Raises:
        UserError: A package is missing; the message says how to get it.
    """
    missing = [name for name in DIGITS_NEED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"the digits are made with {', '.join(missing)}, not installed here: pip install 'mmgcvit[digits]'"
        )


def run_steps(demo: Demo, work_dir: Path, console: Console) -> list[Trained]:
    """Data, classifier, model, test; gives the models that have scores."""
    folder = configs_with(f'demo/{CLASSIFIER}') / 'demo'
    config, classifier_config = folder / demo.config, folder / CLASSIFIER
    classifier, model = work_dir / 'classifier', work_dir / demo.folder

    say(console, 1, 'data: scenes of scanned handwritten digits')
    run('digits', DIGITS)
    if is_trained(classifier, classifier_config):
        say(console, 2, f'classifier: trained already, {last_checkpoint(classifier)}')
        classifier_took = None
    else:
        say(console, 2, 'classifier: GC ViT on single digits')
        for name in (TRAINED, 'last_checkpoint'):
            (classifier / name).unlink(missing_ok=True)
        classifier_took = run('train', classifier_config, '--work-dir', classifier, '--overwrite', '--progress')
        note_trained(classifier, classifier_config)
    say(console, 3, f"{demo.folder}: {demo.what} on the classifier's weights")
    start = f'model.backbone.init_cfg.checkpoint={last_checkpoint(classifier)}'
    model_took = run('train', config, '--work-dir', model, '--overwrite', '--progress', '--cfg-options', start)
    say(console, 4, 'test: on scans that neither has seen')
    shown = ['--show-dir', work_dir / demo.show_dir]
    test_took = run('test', config, last_checkpoint(model), '--work-dir', model, '--progress', *shown)
    return [
        Trained('classifier', classifier, CLASSIFIER_SCORES, classifier_took),
        Trained(demo.folder, model, demo.scores, model_took + test_took),
    ]


def say(console: Console, number: int, what: str) -> None:
    console.print(f'\n[bold]{number} of 4[/bold]  {what}')


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


def show_results(demo: Demo, work_dir: Path, done: list[Trained], console: Console) -> None:
    """The table, and where everything is.

    Raises:
        UserError: A score is lower than expected.
    """
    table = Table('model', 'score', 'expected', 'reached', 'minutes')
    low = []
    for step in done:
        took = 'before' if step.seconds is None else f'{step.seconds / 60:.1f}'
        for score in step.scores:
            reached = latest_entry(step.work_dir, score.metric)[score.metric]
            if reached < score.least:
                low.append(score.name)
            table.add_row(step.name, score.name, f'≥ {score.least:g}', f'{reached:.4g}', took)
            took = ''
    console.print()
    console.print(table)
    pictures = work_dir / demo.show_dir / demo.pictures
    console.print(f'pictures, the truth on the left: {pictures}', soft_wrap=True)
    for step in done:
        console.print(f'logs: {step.work_dir}/console_*.log', soft_wrap=True)
    if low:
        raise UserError(f'lower than expected: {", ".join(low)}')
