"""Train a model of any task: python tools/train.py CONFIG [options]."""

import argparse
from copy import deepcopy

from mmengine.config import Config
from mmengine.registry import MODELS, RUNNERS
from mmengine.runner import Runner
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import record

from ..checkpoints import CheckpointError
from ..cli.checkpoint_check import check_fits, read_checkpoints_safely
from ..cli.data_check import check_data
from ..cli.operators_check import check_operators
from ..cli.options import add_common_options, load_config
from ..cli.precision import enable_amp
from ..cli.processes import check_sharding, leave_processes, prepare_processes
from ..cli.screen import add_progress_option, open_screen


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model of any task.')
    parser.add_argument('config', help='a config file, for example configs/mask_rcnn_gcvit_t.py')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (bfloat16 where the GPU has it)')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate from the batch size that the config was made for to the actual one',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint, or without a name from the latest one in the work dir',
    )
    add_progress_option(parser)
    add_common_options(parser)
    return parser.parse_args()


def scale_learning_rate(cfg: Config) -> None:
    """Turn on mmengine's scaling, for ``--auto-scale-lr``."""
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise SystemExit('--auto-scale-lr: the config does not say auto_scale_lr.base_batch_size')
    cfg.auto_scale_lr.enable = True


def model_of(runner: Runner) -> nn.Module:
    """A runner's model; mmengine's FlexibleRunner builds its own only when training starts."""
    return runner.model if isinstance(runner.model, nn.Module) else MODELS.build(deepcopy(runner.model))


@record
def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        scale_learning_rate(cfg)
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    check_sharding(cfg)
    check_operators(cfg)
    check_data(cfg, ['train_dataloader', 'val_dataloader'])
    prepare_processes(cfg)
    read_checkpoints_safely()
    with open_screen(cfg, args.progress) as watch:
        try:
            runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
            watch(runner)
            if cfg.get('load_from'):
                check_fits(model_of(runner), cfg.load_from, part='' if cfg.get('resume') else 'backbone.')
            runner.train()
        except CheckpointError as error:
            raise SystemExit(str(error)) from None
    leave_processes()


if __name__ == '__main__':
    main()
