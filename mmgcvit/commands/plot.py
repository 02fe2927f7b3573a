"""Plot losses, learning rates and scores of runs: mmgcvit plot WORK_DIR [WORK_DIR ...]."""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('work_dirs', nargs='+', type=Path, metavar='WORK_DIR', help='work dirs of runs')
    text = "log keys to draw, for example loss_mask coco/bbox_mAP_50 (default: all but COCO's detailed scores)"
    parser.add_argument('--keys', nargs='+', default=[], metavar='KEY', help=text)
    text = 'output file: .png, .pdf or .svg (default: curves.png in the first work dir)'
    parser.add_argument('--out', type=Path, metavar='FILE.png', help=text)


def main(args: argparse.Namespace) -> None:
    out = args.out or args.work_dirs[0] / 'curves.png'
    from ..evaluation.training_curves import draw_curves, read_curves
    from ..files import write_figure

    runs = {str(work_dir): read_curves(work_dir) for work_dir in args.work_dirs}
    write_figure(out, draw_curves(runs, args.keys))
    print(f'curves: {out}')
