"""Plot losses, learning rates and scores of runs: mmgcvit plot WORK_DIR [WORK_DIR ...]."""

import argparse
import math
from pathlib import Path

from .options import Parser

# Endings of the log keys whose best value is the lowest.
LOWER_IS_BETTER = ('loss', 'error')


def add_options(parser: Parser) -> None:
    parser.add_argument('work_dirs', nargs='+', type=Path, metavar='WORK_DIR', help='work dirs of runs')
    parser.add_argument(
        '--keys',
        nargs='+',
        default=[],
        metavar='KEY',
        help="log keys to draw, for example loss_mask coco/bbox_mAP_50 (default: all but COCO's detailed scores)",
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FILE.png',
        help='file: .png, .pdf or .svg (default: curves.png in the first work dir)',
    )


def main(args: argparse.Namespace) -> None:
    out = args.out or args.work_dirs[0] / 'curves.png'
    from ..visualization.curves import draw_curves, read_curves
    from ..visualization.drawing import save

    runs = {str(work_dir): read_curves(work_dir) for work_dir in args.work_dirs}
    save(draw_curves(runs, args.keys), out)
    for name, curves in runs.items():
        print(name)
        for key in args.keys or curves:
            points = {step: value for step, value in curves.get(key, {}).items() if math.isfinite(value)}
            if points:
                best = (min if key.endswith(LOWER_IS_BETTER) else max)(points, key=points.get)
                print(f'    {key} {points[max(points)]:.4g} at {max(points)}; best {points[best]:.4g} at {best}')
    print(f'curves: {out}')
