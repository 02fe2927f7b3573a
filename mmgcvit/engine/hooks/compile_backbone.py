"""Compile the backbone's blocks, in training only."""

from contextlib import ExitStack

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...errors import UserError
from ...host.private_api import patch_compiler
from ...host.runners import unwrap_model
from ...models.base import PyramidBackbone
from ...registry import HOOKS

# One graph serves most images. Further ones are for batches of one image, or maps that are one
# window high or wide.
MAX_GRAPHS_PER_KIND = 16


@HOOKS.register_module()
class CompileBackboneHook(Hook):
    """Compile each block of ``model.backbone`` for training. The keys of checkpoints do not change.

    Blocks of one kind (stage and type of attention) share their code, so compiling takes a fraction
    of the time that it takes for the whole network. DistributedDataParallel reduces gradients while
    the backward pass goes on. Validation runs eager, since it has images of many sizes. After the
    training, the blocks stay compiled.

    Set it under ``default_hooks``. A list ``custom_hooks`` would replace that of the ``_base_``
    config, with its EMA.

    Raise a UserError if torch is too old or the backbone is not this package's.

    Args:
        dynamic: Whether the code is for images of all sizes. If all training images have one size,
            set False.
    """

    def __init__(self, dynamic: bool = True):
        self.options = {'dynamic': dynamic}  # of torch.compile

    def before_train(self, runner: Runner) -> None:
        # torch 2.6 is also the first that compiles checkpointed blocks under data parallelism.
        if not hasattr(torch.compiler, 'set_stance'):
            raise UserError('CompileBackboneHook needs torch 2.6 or later. Remove it')
        backbone = unwrap_model(runner).backbone
        kinds = set()
        if isinstance(backbone, PyramidBackbone):
            for index, stage in enumerate(backbone.stages):
                for block in stage.blocks:
                    block.compile(**self.options)
                    kinds.add((index, type(block), type(block.attn)))
        if not kinds:
            raise UserError(
                f'CompileBackboneHook: {type(backbone).__name__} has no blocks of this package. '
                'Remove it'
            )
        torch.compiler.set_stance('default')  # a validation that raised an error leaves another
        # torch's limit is for a method, beyond which it runs eager. Here blocks of all kinds share
        # one method.
        # With optimize_ddp, torch would split blocks at the buckets of DistributedDataParallel, and
        # compile each size.
        self.context = ExitStack()
        self.context.enter_context(
            patch_compiler(cache_size_limit=MAX_GRAPHS_PER_KIND * len(kinds), optimize_ddp=False)
        )

    def before_val(self, runner: Runner) -> None:
        torch.compiler.set_stance('force_eager')

    def after_val(self, runner: Runner) -> None:
        torch.compiler.set_stance('default')

    def after_train(self, runner: Runner) -> None:
        self.context.close()  # not after an error, of which mmengine tells no hook
