"""Plot losses, learning rates and scores of runs: mmgcvit plot WORK_DIR [WORK_DIR ...]."""

import argparse
import math
import re
from pathlib import Path

# Log keys whose lowest value is best, and those of mmengine that have no best value.
LOWER_IS_BETTER = re.compile('loss|error')
NEUTRAL = re.compile('lr|grad_norm|time|memory')


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('work_dirs', nargs='+', type=Path, metavar='WORK_DIR', help='work dirs of runs')
    text = "log keys to draw, for example loss_mask coco/bbox_mAP_50 (default: all but COCO's detailed scores)"
    parser.add_argument('--keys', nargs='+', default=[], metavar='KEY', help=text)
    text = 'output file: .png, .pdf or .svg (default: curves.png in the first work dir)'
    parser.add_argument('--out', type=Path, metavar='FILE.png', help=text)


def main(args: argparse.Namespace) -> None:
    out = args.out or args.work_dirs[0] / 'curves.png'
    from ..evaluation.training_curves import draw_curves, read_curves
    from ..figures.panels import save

    runs = {str(work_dir): read_curves(work_dir) for work_dir in args.work_dirs}
    save(draw_curves(runs, args.keys), out)
    for name, curves in runs.items():
        print(name)
        for key in args.keys or curves:
            points = {step: value for step, value in curves.get(key, {}).items() if math.isfinite(value)}
            if points:
                best = (min if LOWER_IS_BETTER.search(key) else max)(points, key=points.get)
                last = max(points)
                # COCO's scores are -1 if there are no objects of that size.
                has_best = not NEUTRAL.search(key) and points[best] != -1
                text = f', best {points[best]:.4g} (step {best})' if has_best else ''
                print(f'    {key}: last {points[last]:.4g} (step {last}){text}')
    print(f'curves: {out}')
