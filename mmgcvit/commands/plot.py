"""Plot losses, learning rates and scores of runs: mmgcvit plot WORK_DIR [WORK_DIR ...]."""

import json
import re
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import ceil, nan
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..own.judging.figures import make_legend_label, write_figure
from ..runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXAMPLE = 'mmgcvit plot work_dirs/photos work_dirs/photos2'
PAGE = 'docs/look_at_a_run.md'  # explains the command
NOT_DRAWN = ('data_time', 'time', 'step', 'epoch', 'iter', 'memory')  # keys of mmengine's logs
# A line of the config that mmengine writes beside the logs
NOT_RESUMED = re.compile(r'^resume ?= ?False$', re.MULTILINE)
# Endings of COCO's scores for one object size or one IoU threshold. They are drawn only if the user
# names them.
DETAILED_SCORES = ('_s', '_m', '_l', '_50', '_75')


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        'work_dirs', nargs='+', type=Path, metavar='WORK_DIR', help='work dirs of runs'
    )
    parser.add_argument(
        '--keys',
        nargs='+',
        default=[],
        metavar='KEY',
        help="log keys to draw, for example loss_mask coco/bbox_mAP_50 (default: all but COCO's "
        'detailed scores)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FILE.png',
        help='output file: .png, .pdf or .svg (default: curves.png in the first work dir)',
    )


def main(args: Namespace) -> None:
    out = args.out or args.work_dirs[0] / 'curves.png'
    runs = {str(work_dir): read_curves(work_dir) for work_dir in args.work_dirs}
    write_figure(out, draw_curves(runs, args.keys))
    print(f'curves: {out}')


Curves = dict[tuple[str, str], dict[int, float]]


def read_curves(work_dir: Path) -> Curves:
    """Read the logs in the work dir of a run.

    Return the values by step of each log key and unit of its steps: 'iteration', or 'epoch' for
    scores that are logged once an epoch. A resumed run logs to a new folder, whose values replace
    the older ones from their first step on. A run that started anew (``--overwrite``) replaces all.
    """
    curves = defaultdict(dict)
    for file in RunFolder(work_dir).list_logs():
        if starts_anew(file):
            curves.clear()
        for name, resumed in read_session(file).items():
            first = min(resumed)
            kept = {step: value for step, value in curves[name].items() if step < first}
            curves[name] = kept | resumed
    if not curves:
        raise UserError(
            f'{work_dir} has no training logs (*/vis_data/scalars.json). Choose the work dir of a '
            'training'
        )
    return curves


def starts_anew(file: Path) -> bool:
    """Return whether the run that logged to a file was not a resumed one, by its config beside it.

    Without a config, it may have been.
    """
    config = file.with_name('config.py')
    return config.is_file() and bool(NOT_RESUMED.search(config.read_text(errors='replace')))


def read_session(file: Path) -> Curves:
    """Read the curves in one file."""
    curves = defaultdict(dict)
    unit = 'iteration'
    for line in file.read_text(errors='replace').splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:  # a killed run may have left an incomplete last line
            continue
        # Entries of the training have the key epoch if its length is in epochs. Those of a
        # validation have no key iter.
        if 'epoch' in entry:
            unit = 'epoch'
        key_unit = 'iteration' if 'iter' in entry else unit
        for key, value in entry.items():
            if key not in NOT_DRAWN and isinstance(value, int | float):
                # -1 is COCO's score without objects.
                curves[key, key_unit][entry['step']] = nan if value == -1 else value
    return curves


def draw_curves(runs: Mapping[str, Curves], keys: Sequence[str]) -> 'Figure':
    """Draw a panel for each key (without keys: all but ``base_lr`` and :data:`DETAILED_SCORES`),
    with the key's curve of each named run.
    """
    panels = dict.fromkeys(name for curves in runs.values() for name in curves)
    known = {key for key, _ in panels}
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise UserError(
            f'no run has logged {", ".join(unknown)}. Choose among {", ".join(sorted(known))}'
        )
    # base_lr is lr without the factors of layers.
    keys = keys or [key for key in known if not key.endswith(('base_lr', *DETAILED_SCORES))]
    panels = [panel for panel in panels if panel[0] in keys]
    num_columns = min(3, len(panels))
    num_rows = ceil(len(panels) / num_columns)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * num_columns, 3.2 * num_rows), layout='constrained')
    for position, panel in enumerate(panels, start=1):
        key, unit = panel
        axes = figure.add_subplot(num_rows, num_columns, position, title=key, xlabel=unit)
        axes.grid(alpha=0.3)
        for name, curves in runs.items():
            if panel in curves:
                # matplotlib leaves gaps at NaN and infinite values.
                steps, values = zip(*sorted(curves[panel].items()), strict=True)
                label = make_legend_label(name)
                axes.plot(steps, values, marker='.' if len(steps) < 50 else None, label=label)
        if len(runs) > 1:
            axes.legend(fontsize='small')
    return figure
