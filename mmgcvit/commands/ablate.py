"""Train the rows of a paper's ablation with several seeds; write mean, deviation and published scores.

    mmgcvit ablate gcvit-5                              # at the demo's scale: scanned digits, on a CPU
    mmgcvit ablate gcvit-5 --data own --gpus 8          # in full: each row's own config
    mmgcvit ablate gcvit-5 --data my_config.py          # what the rows change, on another config

Trains seed by seed over all rows, so that after each seed the table is complete, and writes it anew after each
training. With --resume finished trainings stay, and the one that was stopped goes on from its checkpoint. Each is a
call of mmgcvit train in a folder of its own, seed_<n>/<row>.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from ..config import configs_with
from ..errors import UserError
from ..files import write_text
from .demo import DIGITS, check_digits
from .options import Parser, add_cfg_options, add_device_option, check_at_least

TABLES = 'ablations/tables.yml'
FINISHED = 'finished.json'


def add_options(parser: Parser) -> None:
    parser.epilog, parser.formatter_class = __doc__.partition('\n\n')[2], argparse.RawDescriptionHelpFormatter
    parser.add_argument('table', metavar='TABLE', help='a table of configs/ablations/tables.yml, as context')
    parser.add_argument('--seeds', type=int, default=5, help='how many: 0, 1, ... (default: %(default)s)')
    parser.add_argument(
        '--data',
        default='digits',
        metavar='digits|own|CONFIG',
        help="digits: the demo's scale (default); own: each row's own config; or a config, whose data, sizes and "
        'schedule all rows take',
    )
    parser.add_argument('--resume', action='store_true', help='go on with what an earlier call has begun')
    parser.add_argument('--work-dir', type=Path, help='folder for all of it (default: work_dirs/ablations/TABLE_DATA)')
    parser.add_argument('--gpus', type=int, help='train each on so many, by torchrun (default: one, or the CPU)')
    add_cfg_options(parser, of='all rows')
    add_device_option(parser)


def main(args: argparse.Namespace) -> None:
    check_at_least(args, seeds=1, gpus=1)
    from ..experiments.ablations import read_scores, read_tables, write_configs, write_report

    tables = read_tables(configs_with('gcvit_t_in1k.py') / TABLES)
    if args.table not in tables:
        raise UserError(f'there is no table {args.table!r}; expected one of {", ".join(tables)}')
    table = tables[args.table]
    if args.data not in ('digits', 'own') and not Path(args.data).is_file():
        raise UserError(f'--data {args.data}: expected digits, own or a config, and there is no such file')
    work_dir = args.work_dir or Path('work_dirs', 'ablations', f'{table.key}_{Path(args.data).stem}')
    if work_dir.exists() and any(work_dir.glob('seed_*')) and not args.resume:
        raise UserError(f'{work_dir} holds trainings; go on with --resume, or name another --work-dir')
    if args.data == 'digits':
        check_digits()
        subprocess.run([sys.executable, '-m', 'mmgcvit', 'digits', str(DIGITS)], check=True)
    settings = {'data': args.data, 'gpus': args.gpus, 'cfg_options': args.cfg_options}
    begun = work_dir / 'begun.json'
    if begun.is_file() and json.loads(begun.read_text()) != settings:
        raise UserError(f'{work_dir} was begun with {begun.read_text()}; take these, or name another --work-dir')
    configs = write_configs(table, args.data, work_dir / 'configs')
    work_dir.mkdir(parents=True, exist_ok=True)
    write_text(begun, json.dumps(settings))
    note = 'Mean ± deviation of the sample over seeds, of the scores at the end of training.'
    if args.data != 'own':
        note += f' Trained on {"scanned digits" if args.data == "digits" else f"`{args.data}`"}.'
        if any(row.published for row in table.rows):
            note += " The published scores are of the papers' data and sizes, not comparable in value."
    scores = {row.key: [] for row in table.rows}
    for seed in range(args.seeds):
        for row in table.rows:
            folder = work_dir / f'seed_{seed}' / row.key
            if not (folder / FINISHED).is_file():
                print(f'seed {seed}, {row.name}', flush=True)
                train(configs[row.key], folder, seed, args)
                write_text(folder / FINISHED, json.dumps(read_scores(folder, table.metrics)))
            scores[row.key].append(json.loads((folder / FINISHED).read_text()))
            write_text(work_dir / 'table.md', write_report(table, scores, note))
    print(f'\n{(work_dir / "table.md").read_text()}')


def train(config: Path, folder: Path, seed: int, args: argparse.Namespace) -> None:
    """Train a row with a seed by mmgcvit train, from its checkpoint where it has one."""
    options = {**(args.cfg_options or {}), 'randomness.seed': seed}
    launcher = []
    if args.gpus:
        launcher = ['-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={args.gpus}']
    command = [*launcher, '-m', 'mmgcvit', 'train', config, '--work-dir', folder, '--device', args.device, '--resume']
    command += ['--launcher', 'pytorch'] if args.gpus else []
    command += ['--cfg-options', *(f'{name}={value}' for name, value in options.items())]
    code = subprocess.run([sys.executable, *map(str, command)]).returncode
    if code:
        raise UserError(f'the training in {folder} ended with code {code}, see above; go on with --resume')
