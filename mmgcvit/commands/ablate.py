"""Train an ablation table's models with several seeds; write mean, deviation and published value of each score.

    mmgcvit ablate gcvit-5                              # on scanned digits, on a CPU
    mmgcvit ablate gcvit-5 --data own --gpus 8          # at full scale: each row's own config
    mmgcvit ablate gcvit-5 --data my_config.py          # the rows' changes, applied to another config

Each row is a model. All rows are trained with one seed, then with the next. Each training runs mmgcvit train in
WORK_DIR/seed_<n>/<row>. After each training, table.md is rewritten.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from ..config import find_config_folder
from ..errors import UserError
from ..files import write_text
from .demo import write_digits
from .options import add_cfg_options, add_device_option, check_at_least

TABLES = 'ablations/tables.yml'
SCORES_FILE = 'finished.json'  # has the scores of a training, written when it has finished


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog, parser.formatter_class = __doc__.partition('\n\n')[2], argparse.RawDescriptionHelpFormatter
    parser.add_argument('table', metavar='TABLE', help='key of a table in configs/ablations/tables.yml')
    parser.add_argument('--seeds', type=int, default=5, help='number of seeds (default: %(default)s)')
    text = "digits (default): scanned digits; own: each row's own config; CONFIG: the data, sizes and schedule of this "
    parser.add_argument('--data', default='digits', metavar='digits|own|CONFIG', help=f'{text}config for all rows')
    parser.add_argument('--resume', action='store_true', help='keep finished trainings, continue the interrupted one')
    parser.add_argument('--work-dir', type=Path, help='output folder (default: work_dirs/ablations/TABLE_DATA)')
    parser.add_argument('--gpus', type=int, help='number of GPUs for torchrun (default: one, or the CPU)')
    add_cfg_options(parser, owner='all rows')
    add_device_option(parser)


def main(args: argparse.Namespace) -> None:
    check_at_least(args, seeds=1, gpus=1)
    from ..experiments.ablations import format_report, read_scores, read_tables, write_configs

    tables = read_tables(find_config_folder('gcvit_t_in1k.py') / TABLES)
    if args.table not in tables:
        raise UserError(f'there is no table {args.table!r}. Choose one of {", ".join(tables)}')
    table = tables[args.table]
    if args.data not in ('digits', 'own') and not Path(args.data).is_file():
        raise UserError(f"--data {args.data}: expected 'digits', 'own' or the path of an existing config")
    work_dir = args.work_dir or Path('work_dirs', 'ablations', f'{table.key}_{Path(args.data).stem}')
    if work_dir.exists() and any(work_dir.glob('seed_*')) and not args.resume:
        raise UserError(f'{work_dir} already has trained rows. Continue with --resume, or choose another --work-dir')
    settings = {'data': args.data, 'gpus': args.gpus, 'cfg_options': args.cfg_options}
    started_with = work_dir / 'started.json'
    if started_with.is_file() and json.loads(started_with.read_text()) != settings:
        raise UserError(
            f'{work_dir} was started with other options ({started_with.read_text()}). Use them, or another --work-dir'
        )
    write_text(started_with, json.dumps(settings))
    if args.data == 'digits':
        write_digits()
    configs = write_configs(table, args.data, work_dir / 'configs')
    note = 'Scores at the end of training: mean ± standard deviation over the seeds.'
    if args.data != 'own':
        note += f' Trained on {"scanned digits" if args.data == "digits" else f"`{args.data}`"}.'
        if any(row.published for row in table.rows):
            note += ' The published scores are for other data and model sizes and cannot be compared with these.'
    scores = {row.key: [] for row in table.rows}
    for seed in range(args.seeds):
        for row in table.rows:
            folder = work_dir / f'seed_{seed}' / row.key
            if not (folder / SCORES_FILE).is_file():
                print(f'seed {seed}, {row.name}', flush=True)
                train(configs[row.key], folder, seed, args)
                write_text(folder / SCORES_FILE, json.dumps(read_scores(folder, table.metrics)))
            scores[row.key].append(json.loads((folder / SCORES_FILE).read_text()))
            write_text(work_dir / 'table.md', format_report(table, scores, note))
    print(f'\n{(work_dir / "table.md").read_text()}')


def train(config: Path, folder: Path, seed: int, args: argparse.Namespace) -> None:
    """Train a row's config with one seed. If ``folder`` has a checkpoint of this training, resume from it."""
    options = {**(args.cfg_options or {}), 'randomness.seed': seed}
    command = ['-m', 'mmgcvit', 'train', config, '--work-dir', folder, '--device', args.device, '--resume']
    if args.gpus:
        launcher = ['-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={args.gpus}']
        command = [*launcher, *command, '--launcher', 'pytorch']
    command += ['--cfg-options', *(f'{name}={value}' for name, value in options.items())]
    code = subprocess.run([sys.executable, *map(str, command)]).returncode
    if code:
        raise UserError(f'the training in {folder} failed (exit code {code}). Fix the error above, then use --resume')
