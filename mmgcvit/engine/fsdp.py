"""FSDP: train with the model's weights, gradients and optimizer state sharded over the processes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mmengine._strategy import FSDPStrategy as MMEngineFSDPStrategy
from mmengine.config import Config
from mmengine.dist import is_main_process
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel

from ..errors import UserError
from ..mmengine_utils import is_sharded
from ..models.layers.blocks import TransformerBlock
from ..registry import FUNCTIONS, STRATEGIES
from .hooks.checkpoint import UNFINISHED

# Under the others several ranks hold a copy of the same shard, and clipping would count each copy's gradients.
SHARDING_STRATEGIES = ('FULL_SHARD', 'SHARD_GRAD_OP')
# As mmengine's 'full', but without offloading to the CPU, at which torch crashes where the model is on a CPU already.
WHOLE_WITHOUT_GPU = {
    'state_dict_type': 'FULL_STATE_DICT',
    'state_dict_config': {'type': 'FullStateDictConfig', 'rank0_only': True, 'offload_to_cpu': False},
    'optim_state_dict_config': {'type': 'FullOptimStateDictConfig', 'rank0_only': True, 'offload_to_cpu': False},
}


@STRATEGIES.register_module()
class FSDPStrategy(MMEngineFSDPStrategy):
    """FSDP of mmengine's FlexibleRunner, with checkpoints that hold the whole model and can be resumed.

    mmengine's own cannot go on from a checkpoint with torch 2.1 or later, and not run without GPUs. To be removed once
    it does.

    Args:
        model_wrapper: As for mmengine's strategy, for example ``dict(type='MMFullyShardedDataParallel',
            use_orig_params=True, auto_wrap_policy=dict(type='mmgcvit.wrap_blocks'))``.
        **kwargs: As for mmengine's strategy, all but ``state_dict_cfg``.

    Raises:
        UserError: ``model_wrapper`` has a ``sharding_strategy`` that keeps copies.
    """

    def __init__(self, *, model_wrapper: dict, **kwargs: Any) -> None:
        strategy = model_wrapper.get('sharding_strategy') or SHARDING_STRATEGIES[0]
        if getattr(strategy, 'name', strategy) not in SHARDING_STRATEGIES:
            raise UserError(
                f'sharding_strategy is {strategy}; expected {" or ".join(SHARDING_STRATEGIES)}: of others gradients '
                'would be clipped by a norm that counts every copy of a shard'
            )
        on_gpu = torch.cuda.is_available()
        super().__init__(
            model_wrapper=model_wrapper if on_gpu else {**model_wrapper, 'device_id': 'cpu'},
            state_dict_cfg='full' if on_gpu else WHOLE_WITHOUT_GPU,
            **kwargs,
        )

    def save_checkpoint(self, filename: str, **kwargs: Any) -> None:
        """Write atomically: the backend of AtomicCheckpointHook does not reach a strategy."""
        unfinished = f'{filename}{UNFINISHED}'
        super().save_checkpoint(unfinished, **kwargs)
        if is_main_process():
            Path(unfinished).replace(filename)

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Shard a whole model's optimizer state; torch changed the order of the arguments."""
        shards = FullyShardedDataParallel.optim_state_dict_to_load(
            model=self.model, optim=self.optim_wrapper.optimizer, optim_state_dict=state_dict
        )
        self.optim_wrapper.load_state_dict(shards)


@FUNCTIONS.register_module()
def wrap_blocks(module: nn.Module, recurse: bool, nonwrapped_numel: int) -> bool:
    """Auto-wrap policy for FSDP: every block of a backbone is a unit of its own.

    For configs: ``model_wrapper=dict(auto_wrap_policy=dict(type='mmgcvit.wrap_blocks'))``. See
    ``torch.distributed.fsdp.wrap`` for the arguments.
    """
    return recurse or isinstance(module, TransformerBlock)


def check_sharding(cfg: Config) -> None:
    """Refuse FSDP where it cannot run: in one process, and with torch 2.1 on CPUs."""
    if is_sharded(cfg) and cfg.launcher == 'none':
        raise UserError('FSDPStrategy needs several processes; start with tools/dist_train.sh CONFIG NUMBER_OF_GPUS')
    # Its FSDP makes CUDA streams for the CPU ("Stream() takes no arguments").
    if is_sharded(cfg) and torch.__version__.startswith('2.1.') and not torch.cuda.is_available():
        raise UserError('FSDPStrategy needs GPUs with torch 2.1; take GPUs, or a later torch')


@torch.no_grad()
def clip_sharded_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Clip sharded gradients to ``max_norm``; return the norm over all shards before.

    mmengine clips each rank's shard by that shard's own norm, so that ranks would scale differently. To be
    removed once its ``OptimWrapper`` asks FSDP for the norm.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    squares = torch.stack([gradient.float().square().sum() for gradient in gradients]).sum()
    dist.all_reduce(squares)
    norm = squares.sqrt()
    torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm
