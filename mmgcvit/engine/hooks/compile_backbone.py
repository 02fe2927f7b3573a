"""Compile the backbone for training."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...errors import UserError
from ...mmengine_utils import unwrap_model
from ...registry import HOOKS

CUDA_GRAPH_MODES = ('reduce-overhead', 'max-autotune')


@HOOKS.register_module()
class CompileBackboneHook(Hook):
    """Compile ``model.backbone`` in place before training. The keys of checkpoints do not change.

    mmengine's ``compile`` setting compiles the whole training step, in which the heads of detectors cause graph breaks.

    During training, torch does not split the graph at the buckets of DistributedDataParallel. The parts would be
    compiled anew for each image size, which fails for the second one (torch 2.13).

    Args:
        **options: Arguments of ``torch.compile``, for example ``mode='max-autotune-no-cudagraphs'``.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options

    def before_train(self, runner: Runner) -> None:
        uses_cuda_graphs = self.options.get('mode') in CUDA_GRAPH_MODES
        if uses_cuda_graphs and runner.optim_wrapper._accumulative_counts > 1:
            raise UserError(
                f'CompileBackboneHook: mode={self.options["mode"]!r} uses CUDA graphs, which are unsafe with gradient '
                "accumulation (pytorch#169545). Use mode='max-autotune-no-cudagraphs', or remove accumulative_counts"
            )
        import torch._dynamo  # takes seconds, and is needed here only

        self.saved = torch._dynamo.config.optimize_ddp
        torch._dynamo.config.optimize_ddp = False
        unwrap_model(runner).backbone.compile(**self.options)

    def after_train(self, runner: Runner) -> None:
        torch._dynamo.config.optimize_ddp = self.saved
