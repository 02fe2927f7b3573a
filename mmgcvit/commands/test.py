"""Test a model of any task: mmgcvit test CONFIG [CHECKPOINT] [options]."""

import argparse
from pathlib import Path

from ..errors import UserError
from ..hosts.configs import check_config
from ..inference.sources import check_source, find_source, warn_of_other_config
from .options import Parser, add_common_options, add_source, config_of_run
from .screen import add_progress_option, open_screen

FULL_DISK = ': the test could not write, and has ended (work dir {work_dir}). Make room, then call it again'


def add_options(parser: Parser) -> None:
    add_source(parser)
    parser.add_argument('--show-dir', metavar='FOLDER', help='draw every image with its predictions into this folder')
    parser.add_argument('--out', metavar='FILE.pkl', help='write the predictions to this file')
    parser.add_argument(
        '--tta', action='store_true', help="merge several views of each image (the config's tta_pipeline)"
    )
    parser.add_argument(
        '--test-data',
        metavar='CONFIG',
        help='test on the data that this config describes, for example one of configs/_base_/datasets/imagenet_v2_*.py',
    )
    add_progress_option(parser)
    add_common_options(parser, work_dir='work_dirs/CONFIG_NAME; of a work dir, its folder test')
    # CHECKPOINT may also follow options, although it may be left out.
    parser.is_intermixed = True


def main(args: argparse.Namespace) -> None:
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise UserError(f'--out {args.out}: predictions are pickled; expected a name ending in .pkl or .pickle')
    if args.test_data is not None:
        check_config(args.test_data)
    check_source(args.config, args.checkpoint)
    from ..engine import testing
    from ..engine.beginning import Beginning
    from ..engine.processes import leaving_processes
    from ..engine.starting import look_at_machine

    look_at_machine('test', args.device, args.launcher)
    source = find_source(args.config, args.checkpoint)
    if args.work_dir is None and not source.is_named:
        # A run's own folder stays as the run has left it.
        args.work_dir = str(Path(args.config) / 'test')
    args.config = str(source.config)
    cfg = config_of_run(args)
    warn_of_other_config(cfg, source)
    testing.prepare(cfg, args.test_data, args.show_dir, args.tta)
    with leaving_processes(), Beginning(cfg.work_dir) as beginning, open_screen(cfg, args.progress, beginning):
        testing.run(cfg, source.checkpoint, beginning, args.out, args.trust_checkpoint)
