"""Test a model of any task: python tools/test.py CONFIG CHECKPOINT [options]."""

import argparse

from mmengine.config import Config
from mmengine.runner import Runner

from ..checkpoints.for_hosts import register_reader
from ..checkpoints.loading import check_fits
from ..engine.processes import prepare_processes
from ..hosts.configs import read_config
from ..hosts.operators import check_operators
from ..hosts.torch import leave_processes
from .data_check import check_data
from .options import add_common_options, add_trust_option, load_config, look_at_machine
from .outputs import draw_predictions, dump_metric, enable_tta
from .screen import add_progress_option, open_screen
from .shared_folders import check_shared_folders
from .work_dir import make_work_dir

FULL_DISK = ': the test could not write, and has ended (work dir {work_dir}). Make room, then call it again'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model of any task.')
    parser.add_argument('config', help='a config file, for example configs/mask_rcnn_gcvit_t.py')
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
    add_trust_option(parser)
    add_common_options(parser)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    cfg = prepare(args)
    args.work_dir = cfg.work_dir
    with open_screen(cfg, args.progress) as watch:
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
    leave_processes()


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
    if args.out:
        dump_metric(cfg, args.out)
    prepare_processes(cfg)
    register_reader(cfg.work_dir, trusted=[args.checkpoint] if args.trust_checkpoint else [])
    return cfg
