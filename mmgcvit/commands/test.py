"""Test a model: mmgcvit test CONFIG [CHECKPOINT] [options]."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..host.config import can_draw_predictions, get_type_name
from ..host.files import check_target, expand_user, make_portable_path
from ..predict.model_files import find_model_files
from .options import (
    add_common_options,
    add_config_and_checkpoint,
    add_data_folder,
    check_overridden,
    hide_gpus,
    print_newer_files,
)

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.hooks import Hook

EXAMPLE = 'mmgcvit test work_dirs/photos'
PAGE = 'docs/commands.md'  # explains the command


def add_options(parser: ArgumentParser) -> None:
    add_config_and_checkpoint(parser)
    parser.add_argument(
        '--show-dir', metavar='FOLDER', help='write all images with drawn predictions into FOLDER'
    )
    parser.add_argument('--out', metavar='FILE.pkl', help='write the predictions to FILE.pkl')
    parser.add_argument(
        '--tta', action='store_true', help="use test-time augmentation (the config's tta_pipeline)"
    )
    add_data_folder(parser)
    add_common_options(parser, work_dir='test in the work dir of a run, else work_dirs/CONFIG_NAME')


def main(args: Namespace) -> None:
    if args.out:
        check_target(Path(args.out), '.pkl', '.pickle', overwrite=True)
    replaced = {
        'launcher': 'Use --launcher',
        'load_from': 'Pass the checkpoint after CONFIG',
        'resume': 'A test resumes nothing',
    }
    if args.work_dir or expand_user(args.config).is_dir():
        replaced['work_dir'] = 'Use --work-dir'
    check_overridden(args, **replaced)
    if args.launcher == 'none':
        find_model_files(args.config, args.checkpoint)
    hide_gpus(args.device)
    from ..engine.ranks import run_rank
    from ..engine.setup import check_machine
    from ..engine.test import run_test
    from ..own.runs.run_data import locate_data
    from .configs import apply_options

    with run_rank(args.launcher, args.local_rank):
        check_machine(args.device, args.launcher)
        files = find_model_files(args.config, args.checkpoint)
        located = locate_data(files.cfg, files.config, args.data)
        if args.launcher == 'none':
            print_newer_files(located)
        cfg = apply_options(located, args.cfg_options, args.work_dir, args.launcher)
        folder = files.config.parent
        is_in_work_dir = Path(cfg.work_dir).resolve() == folder.resolve()
        is_run = is_in_work_dir or expand_user(args.config).is_dir()
        if is_run and not args.work_dir:
            cfg.work_dir = make_portable_path(folder / 'test')  # keep the run's config
        run_test(
            cfg,
            files.checkpoint,
            out=args.out,
            tta=args.tta,
            progress=args.progress,
            hooks=list_hooks(cfg, args.show_dir),
        )


def list_hooks(cfg: 'Config', show_dir: str | None) -> list['Hook']:
    """Return the hook that draws the predictions into a folder, if there is one.

    Raise a UserError if they cannot be drawn.
    """
    from ..own.hooks import ShowDirHook

    if not show_dir:
        return []
    if not can_draw_predictions(cfg):
        raise UserError(
            f'predictions of {get_type_name(cfg.model)} of {cfg.get("default_scope")} cannot be '
            'drawn by --show-dir. Use the visualization hook of that package (docs/other_tasks.md)'
        )
    return [ShowDirHook(show_dir)]
