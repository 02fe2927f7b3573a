"""Compile the backbone's blocks for training."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from packaging.version import Version

from ...errors import UserError
from ...mmengine_utils import unwrap_model
from ...models.layers.blocks import TransformerBlock
from ...registry import HOOKS

# The first version with torch.compiler.set_stance, and that compiles checkpointed blocks under data parallelism.
MINIMUM_TORCH = '2.6'


@HOOKS.register_module()
class CompileBackboneHook(Hook):
    """Compile each block of ``model.backbone`` for training. The keys of checkpoints do not change.

    Blocks of one kind (stage and type of attention) share their code, so compiling takes a fraction of the time that it
    takes for the whole network. DistributedDataParallel reduces gradients while the backward pass goes on. Validation
    runs eager, since it has images of many sizes.

    Set it under ``default_hooks``. A list ``custom_hooks`` would replace that of the ``_base_`` config, with its EMA.
    mmengine's ``compile`` setting compiles the whole training step, in which the heads of detectors cause graph breaks.

    Args:
        dynamic: Whether the code is for images of all sizes. If all training images have one size, set False.
        **options: Other arguments of ``torch.compile``.

    Raises:
        UserError: torch is too old, the backbone has no blocks of this package, or the options enable CUDA graphs
            although gradients are accumulated.
    """

    def __init__(self, dynamic: bool = True, **options: Any) -> None:
        self.options = {'dynamic': dynamic, **options}

    def before_train(self, runner: Runner) -> None:
        backbone = unwrap_model(runner).backbone
        blocks = {name: block for name, block in backbone.named_modules() if isinstance(block, TransformerBlock)}
        if Version(torch.__version__) < Version(MINIMUM_TORCH):
            raise UserError(
                f'CompileBackboneHook needs torch {MINIMUM_TORCH}, and this is {torch.__version__}. Remove it'
            )
        if not blocks:
            raise UserError(
                f'CompileBackboneHook compiles the blocks of GCViT, LSA and their variants, but the backbone is '
                f'{type(backbone).__name__}. Remove the hook'
            )
        self.reject_cuda_graphs(runner)
        from torch._dynamo import config  # takes seconds, and is needed here only

        # torch's limit is for a method, beyond which it runs eager. Here blocks of all kinds share one method.
        kinds = {(name.split('.blocks.')[0], type(block), type(block.attn)) for name, block in blocks.items()}
        # With optimize_ddp, torch would split blocks at the buckets of DistributedDataParallel, and compile each size.
        limit = config.cache_size_limit * len(kinds)
        self.settings = config.patch(cache_size_limit=limit, optimize_ddp=False)
        self.settings.__enter__()
        for block in blocks.values():
            block.compile(**self.options)

    def reject_cuda_graphs(self, runner: Runner) -> None:
        """Raise a UserError if the options enable CUDA graphs, which accumulate wrong gradients (pytorch#169545)."""
        from torch._inductor import config, list_mode_options

        name = 'triton.cudagraphs'
        options = {**list_mode_options(self.options.get('mode')), **(self.options.get('options') or {})}
        wrapper = runner.optim_wrapper
        wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
        if options.get(name, config.triton.cudagraphs) and any(one._accumulative_counts > 1 for one in wrappers):
            raise UserError(
                'CompileBackboneHook: CUDA graphs (mode, options or TORCHINDUCTOR_CUDAGRAPHS) accumulate wrong '
                "gradients. Use mode='max-autotune-no-cudagraphs' or none, or remove accumulative_counts"
            )

    def before_val(self, runner: Runner) -> None:
        torch.compiler.set_stance('force_eager')

    def after_val(self, runner: Runner) -> None:
        torch.compiler.set_stance('default')

    def after_train(self, runner: Runner) -> None:
        self.settings.__exit__(None, None, None)
