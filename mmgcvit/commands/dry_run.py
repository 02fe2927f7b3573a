"""Rehearse a run in minutes before it takes days: mmgcvit dry-run CONFIG [options].

Builds the config's model, trains it for two iterations, resumes, validates and tests, through the commands that
train and test, on a miniature of the data that the config names. Ends with code 1 at the first step that fails.
"""

import argparse
import shutil
from functools import partial
from pathlib import Path

from ..errors import UserError
from ..hosts.configs import overrides, read_config
from .options import CONFIG, Parser, add_cfg_options, check_at_least

MARK = 'dry_run.txt'
say = partial(print, flush=True)


def add_options(parser: Parser) -> None:
    parser.add_argument('config', help=CONFIG)
    parser.add_argument('--work-dir', type=Path, help='folder for everything (default: work_dirs/dry_run/CONFIG_NAME)')
    parser.add_argument('--depth', type=int, metavar='N', help='at most N blocks in each stage of the backbone')
    parser.add_argument('--shrink', type=int, default=8, metavar='N', help='divide image sizes (default: %(default)s)')
    parser.add_argument('--own-data', action='store_true', help="the first images of the config's own data")
    parser.add_argument('--keep-weights', action='store_true', help='load pretrained weights as the config says')
    parser.add_argument('--keep', action='store_true', help='keep the checkpoints')
    add_cfg_options(parser)


def main(args: argparse.Namespace) -> int | None:
    check_at_least(args, shrink=1, depth=1)
    if args.depth is not None and args.keep_weights:
        raise UserError('--depth and --keep-weights: weights of the whole model do not fit a part of it')
    cfg = read_config(args.config, overrides(args.cfg_options))
    from ..experiments.rehearsal import in_new_process, rehearse
    from ..experiments.shrinking import Options, prepare

    folder = args.work_dir or Path('work_dirs') / 'dry_run' / Path(args.config).stem
    # One of an earlier rehearsal is emptied, another's is left alone.
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise UserError(f'{folder} holds other things than a dry run; name another --work-dir')
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text('Made by mmgcvit dry-run, which empties this folder when it is called again.\n')
    say(f'dry run of {args.config} in {folder}')
    for note in prepare(cfg, folder, Options(args.own_data, args.depth, args.shrink, args.keep_weights)):
        say(f'  {note}')
    # For the steps, and to be read.
    config = folder / 'config.py'
    cfg.dump(config)
    config.write_text(f'# {args.config} as mmgcvit dry-run changed it.\n{config.read_text()}')
    if not rehearse(cfg, folder, say, in_new_process):
        return 1
    if not args.keep:
        for checkpoint in (folder / 'run').glob('*.pth'):
            checkpoint.unlink()
    say(f'all steps OK; the config as it was run: {config}')
    return None
