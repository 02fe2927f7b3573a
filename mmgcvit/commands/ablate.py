"""Train the rows of a paper's ablation with several seeds; write mean, deviation and published scores, and a plot.

    mmgcvit ablate gcvit-5                              # at the demo's scale: scanned digits, on a CPU
    mmgcvit ablate gcvit-5 --data own --gpus 8          # in full: each row's own config
    mmgcvit ablate gcvit-5 --data my_config.py          # what the rows change, on another config

Trains seed by seed over all rows, so that after each seed the table is complete, and writes it anew after each
training. Whatever stops it costs one training at most: with --resume the finished ones stay, and the one that was not
goes on from its checkpoint. Each is a call of mmgcvit train in a folder of its own, seed_<n>/<row>.
"""

import argparse
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from ..errors import UserError
from ..experiments.ablations import (
    METRICS,
    Result,
    Run,
    Table,
    change_of,
    check_same,
    draw,
    is_used,
    markdown,
    note_finished,
    onto,
    read_tables,
    remove_runs,
    result_of,
    runs_of,
    scores_of,
    seconds_left,
    write_config,
)
from ..files import write_text
from ..hosts.configs import configs_with, digest_of, overrides
from .demo import DIGITS, check_digits
from .options import Parser, add_cfg_options, add_device_option, check_at_least
from .screen import INTERRUPTED
from .steps import end_steps_when_terminated, run

TABLES = 'ablations/tables.yml'
TABLE, PLOT = 'table.md', 'table.png'
# A training that is asked to end saves a checkpoint first.
SECONDS_TO_SAVE = 60


def add_options(parser: Parser) -> None:
    tables = read_tables(configs_with('gcvit_t_in1k.py') / TABLES)
    listed = '\n'.join(f'  {key:<16}{table.title}' for key, table in tables.items())
    parser.epilog, parser.formatter_class = f'tables:\n{listed}', argparse.RawDescriptionHelpFormatter
    parser.set_defaults(tables=tables)
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
    add_cfg_options(parser, of='all rows')
    add_device_option(parser)


def main(args: argparse.Namespace) -> int | None:
    console = Console(highlight=False)
    args.table, args.cfg_options = args.tables[args.table], args.cfg_options or {}
    args.work_dir = args.work_dir or Path('work_dirs', 'ablations', f'{args.table.key}_{Path(args.data).stem}')
    configs = begin(args)
    end_steps_when_terminated()
    try:
        if args.data == 'digits':
            run('digits', DIGITS)
        train_all(args, configs, console)
    except KeyboardInterrupt:
        console.print('interrupted; the same call with --resume goes on')
        return INTERRUPTED
    return None


def begin(args: argparse.Namespace) -> dict[str, Path]:
    """Prepare the folder of a table; the config of each row, by its key. Nothing there changes before all fits."""
    check_at_least(args, seeds=1, gpus=1)
    if args.data == 'digits':
        check_digits()
    elif args.data != 'own' and not Path(args.data).is_file():
        raise UserError(f'--data {args.data}: expected digits, own or a config, and there is no such file')
    if is_used(args.work_dir) and not args.resume and not args.overwrite:
        raise UserError(
            f'{args.work_dir} holds trainings of an earlier call. Go on with --resume, or take another folder '
            '(--work-dir), or give them up with --overwrite'
        )
    args.work_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix='configs_', dir=args.work_dir) as folder:
        configs = configs_of(args.table, args.data, Path(folder))
        options = overrides(args.cfg_options)
        # Of another number of processes the batch is another one.
        digests = {key: f'{digest_of(path, options)} x {args.gpus or 1}' for key, path in configs.items()}
    if args.overwrite:
        remove_runs(args.work_dir)
    check_same(args.work_dir, digests)
    return configs_of(args.table, args.data, args.work_dir / 'configs')


def configs_of(table: Table, data: str, folder: Path) -> dict[str, Path]:
    """The config of each row, by its key: its own, or one that is written to a folder."""
    if table.unchanged is None and data != 'digits':
        raise UserError(f'{table.key} is of digits alone; leave --data out')
    if data == 'own':
        return {row.key: row.config for row in table.rows}
    base = table.digits if data == 'digits' else Path(data)
    if base is None:
        raise UserError(f"{table.key} cannot be trained on digits; take --data own, or a config's path")
    from mmengine.config import Config

    settings = Config.fromfile(base).to_dict()
    folder.mkdir(exist_ok=True)
    configs = {}
    for row in table.rows:
        change = change_of(row, table, at_digits=data == 'digits')
        configs[row.key] = folder / f'{row.key}.py'
        write_config(configs[row.key], row, onto(change, settings, f'row {row.key} on {base}: '), base)
    return configs


def train_all(args: argparse.Namespace, configs: Mapping[str, Path], console: Console) -> None:
    """Train what is not finished, and write the table after each."""
    runs = runs_of(args.table, args.seeds, args.work_dir)
    for number, one in enumerate(runs, start=1):
        if result_of(one) is None:
            left = seconds_left(runs)
            remaining = '' if left is None else f', about {timedelta(seconds=round(left))} left'
            at = f'[bold]{number} of {len(runs)}[/bold]'
            console.print(f'\n{at}  seed {one.seed}, {one.row.name}{remaining}', soft_wrap=True)
            note_finished(one, train(one, args, configs))
            write_table(args, runs)
    write_table(args, runs)
    table, plot = args.work_dir / TABLE, args.work_dir / PLOT
    console.print(f'\n{table.read_text()}', markup=False, soft_wrap=True)
    console.print(f'{table}, {plot}', soft_wrap=True)


def train(one: Run, args: argparse.Namespace, configs: Mapping[str, Path]) -> Result:
    """Train a row with a seed, from its checkpoint where it has one; by a launcher if several processes are wanted."""

    def call(command: str, *more: object) -> float:
        launched = (command,) if args.gpus is None else ('launch', args.gpus, command)
        return run(*launched, configs[one.row.key], *more, *common, seconds_to_end=SECONDS_TO_SAVE)

    options = {**args.cfg_options, 'randomness.seed': one.seed}
    common = ['--work-dir', one.folder, '--device', args.device, '--progress']
    common += ['--cfg-options', *(f'{name}={value}' for name, value in options.items())]
    took = call('train', '--resume')
    from ..visualization.curves import find_latest_entry

    metrics = {name: METRICS[name] for name in args.table.metrics}
    if not is_validated(one.folder, next(iter(metrics.values())).key):
        took += call('test', last_checkpoint(one.folder))
    scores = {
        name: find_latest_entry(one.folder, metric.key)[metric.key] * metric.times for name, metric in metrics.items()
    }
    return Result(scores, took)


def is_validated(work_dir: Path, metric: str) -> bool:
    """Whether the latest score is of the last checkpoint: a training may be stopped between that and its validation."""
    from ..checkpoints.run_folder import kind_and_number
    from ..visualization.curves import find_latest_entry

    try:
        entry = find_latest_entry(work_dir, metric)
    except UserError:
        return False
    return entry.get('step') == kind_and_number(Path(last_checkpoint(work_dir)))[1]


def last_checkpoint(work_dir: Path) -> str:
    return (work_dir / 'last_checkpoint').read_text().strip()


def write_table(args: argparse.Namespace, runs: Sequence[Run]) -> None:
    """Write the table and draw it, of the trainings that are finished, with what a reader must know of the scores."""
    note = 'Mean ± deviation of the sample over seeds, of the scores at the end of training.'
    if args.data != 'own':
        note += f' Trained on {"scanned digits" if args.data == "digits" else f"`{args.data}`"}.'
        if any(row.published for row in args.table.rows):
            note += " The published scores are of the papers' data and sizes, not comparable in value."
    scores = scores_of(args.table, runs)
    write_text(args.work_dir / TABLE, markdown(args.table, scores, note))
    draw(args.work_dir / PLOT, args.table, scores, same_scale=args.data == 'own')
