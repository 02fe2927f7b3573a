"""Test a model of any task: mmgcvit test CONFIG CHECKPOINT [options]."""

import argparse
from copy import deepcopy
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.evaluator import BaseMetric, DumpResults
from mmengine.runner import Runner

from ..checkpoints.for_hosts import register_reader
from ..checkpoints.loading import check_fits
from ..datasets.checks import leaf_datasets
from ..engine.processes import leaving_processes, prepare_processes
from ..errors import UserError
from ..hosts.configs import read_config
from ..hosts.operators import check_operators
from .check_data import check_data
from .launcher import check_shared_folders
from .options import CONFIG, add_common_options, load_config, look_at_machine, make_work_dir
from .screen import add_progress_option, open_screen

FULL_DISK = ': the test could not write, and has ended (work dir {work_dir}). Make room, then call it again'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model of any task.')
    parser.add_argument('config', help=CONFIG)
    parser.add_argument('checkpoint', help='a checkpoint of that config: a file or an address')
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
    add_common_options(parser)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    cfg = prepare(args)
    with leaving_processes(), open_screen(cfg, args.progress) as watch:
        check_data(cfg, ['test_dataloader'])
        make_work_dir(cfg.work_dir)
        cfg.load_from = args.checkpoint
        # Checkpoints hold whole models, however they were trained: the plain runner tests them all.
        runner = Runner.from_cfg(cfg)
        watch(runner)
        check_shared_folders(cfg, ['test_evaluator'])
        check_fits(runner.model, args.checkpoint, trust=args.trust_checkpoint)
        if args.out:
            runner.test_evaluator.metrics.append(dump_metric(cfg, args.out))
        runner.test()


def prepare(args: argparse.Namespace) -> Config:
    """The config with what the options ask for; its processes have found each other."""
    look_at_machine('test', args.device)
    cfg = load_config(args)
    cfg.pop('strategy', None)
    if args.test_data:
        cfg.merge_from_dict(read_config(args.test_data).to_dict())
    if args.show_dir:
        draw_predictions(cfg, args.show_dir)
    if args.tta:
        enable_tta(cfg)
    check_operators(cfg)
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise UserError(f'--out {args.out}: predictions are pickled; expected a name ending in .pkl or .pickle')
    prepare_processes(cfg)
    register_reader(cfg.work_dir, trusted=[args.checkpoint] if args.trust_checkpoint else [])
    return cfg


def draw_predictions(cfg: Config, show_dir: str) -> None:
    """Have every tested image drawn with its predictions, into ``show_dir``."""
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None or 'visualizer' not in cfg:
        raise UserError(
            '--show-dir: the config has no default_hooks.visualization, or no visualizer; the configs of this project '
            'have both'
        )
    # Absolute, because hosts put a relative folder under the work dir, mmdet once more for every batch.
    folder = str(Path(show_dir).resolve())
    scope = cfg.get('default_scope')
    if scope == 'mmdet':
        hook.update(draw=True, test_out_dir=folder)
    elif scope == 'mmseg':
        hook.update(draw=True)
        cfg.visualizer.save_dir = folder
    else:
        hook.update(enable=True, out_dir=folder, interval=1)


def dump_metric(cfg: Config, out: str) -> BaseMetric:
    """The metric that writes predictions to a pickle file, masks run-length encoded."""
    if cfg.get('default_scope') == 'mmdet':
        from mmdet.evaluation import DumpDetResults

        return DumpDetResults(out_file_path=out)
    return DumpResults(out_file_path=out)


def enable_tta(cfg: Config) -> None:
    """Test each image in several views and merge them, as the config's ``tta_model`` and ``tta_pipeline`` say."""
    missing = [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]
    if missing:
        raise UserError(f'--tta: the config has no {" and no ".join(missing)}')
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for dataset in leaf_datasets(cfg.test_dataloader.dataset):
        dataset.pipeline = deepcopy(cfg.tta_pipeline)
