"""Train the rows of an ablation table with several seeds; write mean, standard deviation and published scores.

    mmgcvit ablate gcvit-5                              # on scanned digits, on a CPU
    mmgcvit ablate gcvit-5 --data own --gpus 8          # at full scale: each row's own config
    mmgcvit ablate gcvit-5 --data my_config.py          # the rows' changes, applied to another config

Trains all rows with one seed, then with the next, and rewrites the table after each training. With --resume it keeps
finished trainings and continues the interrupted one. Each training runs mmgcvit train in seed_<n>/<row>.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from ..config import find_configs
from ..errors import UserError
from ..files import write_text
from .demo import DIGITS, check_digits
from .options import Parser, add_cfg_options, add_device_option, check_at_least

TABLES = 'ablations/tables.yml'
FINISHED = 'finished.json'


def add_options(parser: Parser) -> None:
    parser.epilog, parser.formatter_class = __doc__.partition('\n\n')[2], argparse.RawDescriptionHelpFormatter
    parser.add_argument('table', metavar='TABLE', help='a table of configs/ablations/tables.yml, for example context')
    parser.add_argument('--seeds', type=int, default=5, help='number of seeds (default: %(default)s)')
    parser.add_argument(
        '--data',
        default='digits',
        metavar='digits|own|CONFIG',
        help="digits (default): scanned digits; own: each row's own config; or a config whose data, sizes and schedule "
        'all rows use',
    )
    parser.add_argument('--resume', action='store_true', help='continue an earlier call')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/ablations/TABLE_DATA')
    parser.add_argument('--gpus', type=int, help='GPUs for torchrun (default: one, or the CPU)')
    add_cfg_options(parser, owner='all rows')
    add_device_option(parser)


def main(args: argparse.Namespace) -> None:
    check_at_least(args, seeds=1, gpus=1)
    from ..experiments.ablations import read_scores, read_tables, write_configs, write_report

    tables = read_tables(find_configs('gcvit_t_in1k.py') / TABLES)
    if args.table not in tables:
        raise UserError(f'unknown table {args.table!r}; expected one of {", ".join(tables)}')
    table = tables[args.table]
    if args.data not in ('digits', 'own') and not Path(args.data).is_file():
        raise UserError(f"--data {args.data}: expected 'digits', 'own' or the path of an existing config")
    work_dir = args.work_dir or Path('work_dirs', 'ablations', f'{table.key}_{Path(args.data).stem}')
    if work_dir.exists() and any(work_dir.glob('seed_*')) and not args.resume:
        raise UserError(f'{work_dir} already has trained rows. Continue with --resume, or choose another --work-dir')
    if args.data == 'digits':
        check_digits()
        subprocess.run([sys.executable, '-m', 'mmgcvit', 'digits', str(DIGITS)], check=True)
    settings = {'data': args.data, 'gpus': args.gpus, 'cfg_options': args.cfg_options}
    settings_file = work_dir / 'started.json'
    if settings_file.is_file() and json.loads(settings_file.read_text()) != settings:
        raise UserError(
            f'{work_dir} was started with {settings_file.read_text()}. Use the same settings, or another --work-dir'
        )
    configs = write_configs(table, args.data, work_dir / 'configs')
    work_dir.mkdir(parents=True, exist_ok=True)
    write_text(settings_file, json.dumps(settings))
    note = 'Mean ± standard deviation over seeds of the scores at the end of training.'
    if args.data != 'own':
        note += f' Trained on {"scanned digits" if args.data == "digits" else f"`{args.data}`"}.'
        if any(row.published for row in table.rows):
            note += " The published scores are from the papers' data and sizes and cannot be compared with these."
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
    """Train a row with a seed. Resume from its checkpoint if there is one."""
    options = {**(args.cfg_options or {}), 'randomness.seed': seed}
    launcher = []
    if args.gpus:
        launcher = ['-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={args.gpus}']
    command = [*launcher, '-m', 'mmgcvit', 'train', config, '--work-dir', folder, '--device', args.device, '--resume']
    command += ['--launcher', 'pytorch'] if args.gpus else []
    command += ['--cfg-options', *(f'{name}={value}' for name, value in options.items())]
    code = subprocess.run([sys.executable, *map(str, command)]).returncode
    if code:
        raise UserError(f'the training in {folder} failed with code {code}, see above; continue with --resume')
