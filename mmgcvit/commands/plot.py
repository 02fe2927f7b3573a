"""Plot losses, learning rates and scores of runs: mmgcvit plot WORK_DIR [WORK_DIR ...]."""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from math import nan
from pathlib import Path

from matplotlib.figure import Figure

from ..errors import UserError
from ..files import write_figure

NOT_DRAWN = ('data_time', 'time', 'step', 'epoch', 'iter', 'memory')  # keys of mmengine's logs
# Endings of COCO's scores for one object size or one IoU threshold. They are drawn only if the user
# names them.
DETAILED_SCORES = ('_s', '_m', '_l', '_50', '_75')


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'work_dirs', nargs='+', type=Path, metavar='WORK_DIR', help='work dirs of runs'
    )
    text = "log keys to draw, for example loss_mask coco/bbox_mAP_50 (default: all but COCO's detailed scores)"
    parser.add_argument('--keys', nargs='+', default=[], metavar='KEY', help=text)
    text = 'output file: .png, .pdf or .svg (default: curves.png in the first work dir)'
    parser.add_argument('--out', type=Path, metavar='FILE.png', help=text)


def main(args: argparse.Namespace) -> None:
    out = args.out or args.work_dirs[0] / 'curves.png'
    runs = {str(work_dir): read_curves(work_dir) for work_dir in args.work_dirs}
    write_figure(out, draw_curves(runs, args.keys))
    print(f'curves: {out}')


class Curve(dict[int, float]):
    """The values that were logged under one key, by step, which counts ``unit``: 'iteration' or
    'epoch'.
    """

    unit = 'iteration'


def read_curves(work_dir: Path) -> dict[str, Curve]:
    """Read the logs in the work dir of a run, and return the curve of each key.

    The steps of a curve are iterations, or epochs for scores that are logged once an epoch. A
    resumed run logs to a new folder, whose curves replace the older ones from their first step on.
    """
    curves: dict[str, Curve] = {}
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        session: dict[str, Curve] = defaultdict(Curve)  # the curves in this file
        has_epochs = False
        for line in file.read_text(errors='replace').splitlines():
            # A killed run may have left an incomplete last line.
            with suppress(json.JSONDecodeError):
                entry = json.loads(line)
                # Only entries of the training have these keys; epoch, only if its length is in
                # epochs.
                has_epochs |= 'epoch' in entry
                for name, value in entry.items():
                    if name not in NOT_DRAWN and isinstance(value, int | float):
                        # -1 is COCO's score without objects.
                        session[name][entry['step']] = float(value) if value != -1 else nan
                        session[name].unit = (
                            'epoch' if has_epochs and 'iter' not in entry else 'iteration'
                        )
        for name, curve in session.items():
            curve |= {
                step: value for step, value in curves.get(name, {}).items() if step < min(curve)
            }
        curves |= session
    if not curves:
        raise UserError(
            f'{work_dir} has no training logs (*/vis_data/scalars.json). Choose the work dir of a '
            'training'
        )
    return curves


def draw_curves(runs: dict[str, dict[str, Curve]], keys: Sequence[str] = ()) -> Figure:
    """Draw a panel for each key (default: all but :data:`DETAILED_SCORES`), with the key's curve of
    each named run.
    """
    names = list(dict.fromkeys(name for curves in runs.values() for name in curves))
    if unknown := [key for key in keys if key not in names]:
        raise UserError(
            f'no run has logged {", ".join(unknown)}. Choose among {", ".join(sorted(names))}'
        )
    keys = keys or [name for name in names if not name.endswith(DETAILED_SCORES)]
    columns = min(3, len(keys))
    rows = -(-len(keys) // columns)
    figure = Figure(figsize=(5 * columns, 3.2 * rows), layout='constrained')
    for position, key in enumerate(keys, start=1):
        axes = figure.add_subplot(rows, columns, position, title=key)
        for name, curves in runs.items():
            # matplotlib leaves gaps at NaN and infinite values.
            points = sorted(curves.get(key, {}).items())
            if points:
                axes.set_xlabel(curves[key].unit)
                axes.plot(
                    *zip(*points, strict=True), marker='.' if len(points) < 50 else None, label=name
                )
        axes.grid(alpha=0.3)
        if len(runs) > 1:
            axes.legend(fontsize='small')
    return figure
