"""Draw losses, learning rates and scores of trainings: mmgcvit plot WORK_DIR [WORK_DIR ...]."""

import argparse
from pathlib import Path

from .options import Parser

# Of these a lower value is the better one.
LOWER_IS_BETTER = ('loss', 'error')


def add_options(parser: Parser) -> None:
    parser.add_argument('work_dirs', nargs='+', type=Path, metavar='WORK_DIR', help='work dirs of trainings')
    parser.add_argument(
        '--keys',
        nargs='+',
        default=[],
        metavar='KEY',
        help='what to draw, for example loss_mask coco/bbox_mAP_50 (default: the loss, its norm, the rate, the scores)',
    )
    parser.add_argument(
        '--out', type=Path, metavar='FILE.png', help='default: curves.png in the (first) work dir; also .pdf and .svg'
    )


def main(args: argparse.Namespace) -> None:
    out = args.out or args.work_dirs[0] / 'curves.png'
    from ..visualization.curves import draw_curves, finite, read_run

    runs = [read_run(work_dir) for work_dir in args.work_dirs]
    if len({run.name for run in runs}) < len(runs):
        for run, work_dir in zip(runs, args.work_dirs, strict=True):
            run.name = str(work_dir)
    draw_curves(runs, args.keys, out)
    for run in runs:
        print(f'{run.name}: {run.iterations} iterations' + (f', {run.epochs} epochs' if run.epochs else ''))
        if loss := run.training.get('loss'):
            print(f'    loss {loss[max(loss)]:.4g}')
            if broken := len(loss) - len(finite(loss)):
                print(f'    {broken} of {len(loss)} losses are not finite')
        for name, curve in run.scores.items():
            if points := finite(curve):
                best = (min if name.endswith(LOWER_IS_BETTER) else max)(points, key=points.get)
                print(f'    {name} {curve[max(curve)]:.4g}; best {points[best]:.4g} ({run.scores_by} {best})')
    print(f'curves: {out}')
