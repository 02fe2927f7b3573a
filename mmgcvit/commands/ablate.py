"""Train the rows of a paper's ablation with several seeds; write mean, deviation and published scores, and a plot.

    mmgcvit ablate gcvit-5                              # at the demo's scale: scanned digits, on a CPU
    mmgcvit ablate gcvit-5 --data own --gpus 8          # in full: each row's own config
    mmgcvit ablate gcvit-5 --data my_config.py          # what the rows change, on another config

Trains seed by seed over all rows, so that after each seed the table is complete, and writes it anew after each
training. Whatever stops it costs one training at most: with --resume the finished ones stay, and the one that was not
goes on from its checkpoint. Each is a call of mmgcvit train in a folder of its own, seed_<n>/<row>.
"""

import argparse
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from mmengine.config import Config, DictAction
from rich.console import Console

from ..checkpoints.run_folder import LAST, kind_and_number
from ..errors import UserError
from ..experiments.ablation_runs import (
    Result,
    Run,
    check_can_draw,
    check_same,
    draw,
    is_used,
    markdown,
    note_finished,
    remove_runs,
    result_of,
    runs_of,
    scores_of,
    seconds_left,
    write,
)
from ..experiments.ablation_tables import METRICS, Table, change_of, onto, read_tables, write_config
from ..hosts.configs import configs_with, digest_of
from ..visualization.curves import latest_entry
from .demo import DIGITS, check_digits
from .options import add_device_option
from .steps import INTERRUPTED, end_steps_when_terminated, run

TABLES = 'ablations/tables.yml'
TABLE, PLOT = 'table.md', 'table.png'
# A training that is asked to end saves a checkpoint first.
SECONDS_TO_SAVE = 60


class Setting(NamedTuple):
    """How a table's rows are trained.

    Attributes:
        configs: The config of each row, by its key.
        options: Settings that override theirs.
        gpus: Processes of a training; None for one that no launcher starts.
        device: ``auto`` or ``cpu``.
        same_scale: Whether the published scores are of these trainings' scale.
        note: What a reader of the table is told.
    """

    configs: Mapping[str, Path]
    options: Mapping[str, Any]
    gpus: int | None
    device: str
    same_scale: bool
    note: str


def parse_args() -> argparse.Namespace:
    tables = read_tables(configs_with('gcvit_t_in1k.py') / TABLES)
    listed = '\n'.join(f'  {key:<16}{table.title}' for key, table in tables.items())
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=f'tables:\n{listed}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('table', choices=tables, metavar='TABLE', help='which one, see below')
    parser.add_argument('--seeds', type=int, default=5, help='how many: 0, 1, ... (default: %(default)s)')
    parser.add_argument(
        '--data',
        default='digits',
        metavar='digits|own|CONFIG',
        help="digits: the demo's scale (default); own: each row's own config; or a config, whose data, sizes and "
        'schedule all rows take',
    )
    beginning = parser.add_mutually_exclusive_group()
    beginning.add_argument('--resume', action='store_true', help='go on with what an earlier call has begun')
    beginning.add_argument('--overwrite', action='store_true', help='begin anew; what was trained there is removed')
    parser.add_argument('--work-dir', type=Path, help='folder for all of it (default: work_dirs/ablations/TABLE_DATA)')
    parser.add_argument('--gpus', type=int, help='train each on so many, as tools/dist_train.sh (default: one, or CPU)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override settings of all rows'
    )
    add_device_option(parser)
    args = parser.parse_args()
    args.table = tables[args.table]
    return args


def main(args: argparse.Namespace) -> int | None:
    console = Console(highlight=False)
    table = args.table
    try:
        check_args(args)
        work_dir = args.work_dir or Path('work_dirs', 'ablations', f'{table.key}_{Path(args.data).stem}')
        options = args.cfg_options or {}
        configs = begin(table, work_dir, options, args)
        setting = Setting(configs, options, args.gpus, args.device, args.data == 'own', note_of(args.data))
    except UserError as error:
        raise SystemExit(f'ablate: {error}') from None
    end_steps_when_terminated()
    try:
        if args.data == 'digits':
            run('digits', DIGITS)
        train_all(table, runs_of(table, args.seeds, work_dir), setting, work_dir, console)
    except KeyboardInterrupt:
        console.print('interrupted; the same call with --resume goes on')
        return INTERRUPTED
    return None


def check_args(args: argparse.Namespace) -> None:
    """Refuse numbers that make no sense, data that are not there or cannot be made, a plot that cannot be drawn.

    Raises:
        UserError: The message says what is expected.
    """
    for name in ('seeds', 'gpus'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise UserError(f'--{name} is {getattr(args, name)}; expected at least 1')
    check_can_draw()
    if args.data == 'digits':
        check_digits()
    elif args.data != 'own' and not Path(args.data).is_file():
        raise UserError(f'--data {args.data}: expected digits, own or a config, and there is no such file')


def begin(table: Table, work_dir: Path, options: Mapping[str, Any], args: argparse.Namespace) -> dict[str, Path]:
    """Prepare the folder of a table; gives the config of each row, by its key. Nothing there changes before all fits.

    Raises:
        UserError: An earlier call has begun there, and the user has not said what shall become of it, or goes on with
            other configs; or the rows cannot be trained as asked.
    """
    if is_used(work_dir) and not args.resume and not args.overwrite:
        raise UserError(
            f'{work_dir} holds trainings of an earlier call. Go on with --resume, or take another folder (--work-dir), '
            'or give them up with --overwrite'
        )
    work_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix='configs_', dir=work_dir) as folder:
        configs = configs_of(table, args.data, Path(folder))
        # Of another number of processes the batch is another one.
        digests = {key: f'{digest_of(path, options)} x {args.gpus or 1}' for key, path in configs.items()}
    if args.overwrite:
        remove_runs(work_dir)
    check_same(work_dir, digests)
    return configs_of(table, args.data, work_dir / 'configs')


def configs_of(table: Table, data: str, folder: Path) -> dict[str, Path]:
    """The config of each row, by its key: its own, or one that is written to a folder.

    Raises:
        UserError: The table has no scale of that name, or a row changes what the config of that scale has not.
    """
    if data == 'own':
        return {row.key: row.config for row in table.rows}
    base = table.digits if data == 'digits' else Path(data)
    if base is None:
        raise UserError(f"{table.key} cannot be trained on digits; take --data own, or a config's path")
    settings = Config.fromfile(base).to_dict()
    folder.mkdir(exist_ok=True)
    configs = {}
    for row in table.rows:
        change = change_of(row, table, at_digits=data == 'digits')
        configs[row.key] = folder / f'{row.key}.py'
        write_config(configs[row.key], row, onto(change, settings, f'row {row.key} on {base}: '), base)
    return configs


def note_of(data: str) -> str:
    """What a reader of the table must know of the scores."""
    scores = 'Mean ± deviation of the sample over seeds, of the scores at the end of training.'
    if data == 'own':
        return scores
    what = 'scanned digits' if data == 'digits' else f'`{data}`'
    return (
        f"{scores} Trained on {what}; the published scores are of the papers' data and sizes, not comparable in value."
    )


def train_all(table: Table, runs: list[Run], setting: Setting, work_dir: Path, console: Console) -> None:
    """Train what is not finished, and write the table after each."""
    for number, one in enumerate(runs, start=1):
        if result_of(one) is None:
            left = seconds_left(runs)
            remaining = '' if left is None else f', about {timedelta(seconds=round(left))} left'
            at = f'[bold]{number} of {len(runs)}[/bold]'
            console.print(f'\n{at}  seed {one.seed}, {one.row.name}{remaining}', soft_wrap=True)
            note_finished(one, train(one, table, setting))
            write_table(table, runs, setting, work_dir)
    write_table(table, runs, setting, work_dir)
    console.print(f'\n{(work_dir / TABLE).read_text()}', markup=False, soft_wrap=True)
    console.print(f'{work_dir / TABLE}, {work_dir / PLOT}', soft_wrap=True)


def train(one: Run, table: Table, setting: Setting) -> Result:
    """Train a row with a seed, from its checkpoint where it has one.

    Raises:
        SystemExit: It failed, and has said why.
    """
    options = {**setting.options, 'randomness.seed': one.seed}
    common = ['--work-dir', one.folder, '--device', setting.device, '--progress']
    common += ['--cfg-options', *(f'{name}={value}' for name, value in options.items())]
    config = setting.configs[one.row.key]
    took = call('train', setting.gpus, config, '--resume', *common)
    keys = [METRICS[name].key for name in table.metrics]
    if not is_validated(one.folder, keys[0]):
        took += call('test', setting.gpus, config, last_checkpoint(one.folder), *common)
    scores = {name: latest_entry(one.folder, METRICS[name].key)[METRICS[name].key] for name in table.metrics}
    return Result({name: score * METRICS[name].times for name, score in scores.items()}, took)


def call(command: str, gpus: int | None, *arguments: object) -> float:
    """Train or test, by a launcher if the user wants several processes; gives the seconds that it took."""
    launched = (command,) if gpus is None else ('launch', gpus, command)
    return run(*launched, *arguments, seconds_to_end=SECONDS_TO_SAVE)


def last_checkpoint(work_dir: Path) -> Path:
    """The checkpoint that a training has saved last."""
    return Path((work_dir / LAST).read_text().strip())


def is_validated(work_dir: Path, metric: str) -> bool:
    """Whether the latest score is of the last checkpoint: a training may be stopped between that and its validation."""
    try:
        entry = latest_entry(work_dir, metric)
    except UserError:
        return False
    return entry.get('step') == kind_and_number(last_checkpoint(work_dir))[1]


def write_table(table: Table, runs: list[Run], setting: Setting, work_dir: Path) -> None:
    """Write the table and draw it, of the trainings that are finished."""
    scores = scores_of(table, runs)
    write(work_dir / TABLE, markdown(table, scores, setting.note))
    draw(work_dir / PLOT, table, scores, setting.same_scale)
