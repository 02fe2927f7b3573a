"""Try training and testing with a config in minutes: mmgcvit dry-run CONFIG [options].

Builds the model, trains two iterations, saves, resumes, validates and tests on the first images of the config's data,
scaled down. If the data are missing, uses scanned digits in the format of COCO, ADE20K or ImageNet. Exits with code 1
at the first step that fails.
"""

import argparse
import shutil
import sys
import tempfile
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

from ..config import parse_cfg_options, read_config
from .options import CONFIG, add_cfg_options, check_at_least


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help=CONFIG)
    parser.add_argument('--shrink', type=int, default=8, metavar='N', help='divide image sides by N (default: 8)')
    parser.add_argument('--keep', type=Path, metavar='FOLDER', help='keep the config, data and checkpoints in FOLDER')
    add_cfg_options(parser)


def main(args: argparse.Namespace) -> None:
    check_at_least(args, shrink=1)
    cfg = read_config(args.config, parse_cfg_options(args.cfg_options))
    from ..engine.dry_run import run, shrink

    # sys.stdout is still the terminal here. It is redirected below.
    say = partial(print, file=sys.stdout, flush=True)
    folder = args.keep or Path(tempfile.mkdtemp(prefix='dry_run_'))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        say(f'dry run of {args.config}')
        # output.txt gets what metrics and datasets print.
        with (folder / 'output.txt').open('w') as output, redirect_stdout(output):
            for note in shrink(cfg, folder, args.shrink):
                say(f'  {note}')
            cfg.dump(folder / 'config.py')
            run(cfg, say)
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    say('all steps OK')
