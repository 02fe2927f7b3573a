"""Load weights into a backbone: from ``init_cfg`` or by name, of a published variant, with or without LoRA."""

import functools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from mmengine.model import BaseModule, PretrainedInit, initialize
from torch import Tensor

from ..checkpoints.pretrained import infer_checkpoint_arch, load_pretrained
from ..checkpoints.translating import KeyMapping
from ..checkpoints.weights import Arch, merge_lora, read_weights
from ..errors import CheckpointError


class PretrainedModel(BaseModule):
    """Base class of networks with published variants, whose weights it loads.

    Attributes:
        archs: The published variants by name.
        default_arch: The name of the variant that is built by default.
        arch_type: The dataclass of a variant's hyperparameters.
        key_mappings: For each known kind of checkpoint, a table that translates its state dict keys to this package's.
            The last is for this package's own checkpoints.
    """

    archs: ClassVar[Mapping[str, Any]]
    default_arch: ClassVar[str]
    arch_type: ClassVar[type]
    key_mappings: ClassVar[Sequence[KeyMapping]]

    lora_rank = 0

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        if not self.lora_rank:  # a backbone without LoRA merges the LoRA matrices of a checkpoint into its weights
            merge_lora(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path,
        prefix: str | None = None,
        ema: bool = False,
        **arguments: Any,
    ) -> 'PretrainedModel':
        """Build a backbone and load its weights from a checkpoint, which may lack only output norms and LoRA.

        Args:
            checkpoint: A file, an http(s) URL, or ``timm://NAME``.
            prefix: Prefix of the backbone's keys, for a checkpoint with several networks.
            ema: Use the EMA weights.
            arguments: Arguments of the constructor except ``init_cfg``. Without ``arch``, the published variant is
                inferred from the weights. Position biases of another window size are resized, which is logged.

        Raises:
            CheckpointError: The weights do not match, or ``arch`` is missing and the weights are not those of a
                published variant.
        """
        source = {'checkpoint': str(checkpoint), 'prefix': prefix, 'ema': ema}
        weights = None
        if 'arch' not in arguments:
            weights = read_weights(str(checkpoint), prefix, ema)
            arch = infer_checkpoint_arch(weights, cls)
            if not arch.names:
                raise CheckpointError(
                    f'{checkpoint} has weights of {cls.__name__} {arch}. This is not a published variant. Set '
                    'arch=dict(...) to the values with which it was trained'
                )
            arguments['arch'] = arch.names[0]
        backbone = cls(**arguments, init_cfg={'type': 'Pretrained', **source})
        load_pretrained(backbone, weights or str(checkpoint), prefix, ema)
        backbone._is_init = True  # as init_weights
        return backbone

    def init_weights(self) -> None:
        """Initialise the weights as ``init_cfg`` says.

        ``dict(type='Pretrained', checkpoint=SOURCE)`` loads a file, an http(s) URL or ``timm://NAME``. The checkpoint
        may be of any implementation in ``key_mappings``, and no code in it is run. The dict may also have ``prefix``,
        the prefix of the backbone's keys in a checkpoint of several networks, and ``ema=True`` for the EMA weights.

        Raises:
            CheckpointError: Keys or shapes do not match; see :func:`load_pretrained`.
        """
        configs = [self.init_cfg] if isinstance(self.init_cfg, Mapping) else self.init_cfg or []
        pretrained = [config for config in configs if config['type'] in ('Pretrained', PretrainedInit)]
        initialize(self, [config for config in configs if config not in pretrained])
        for config in pretrained:
            # mmengine's map_location is ignored: weights are read on the CPU and copied to the device.
            options = {key: value for key, value in config.items() if key not in ('type', 'map_location')}
            load_pretrained(self, **options)
        self._is_init = True

    @classmethod
    def infer_arch(cls, tensors: Mapping[str, Tensor], num_stages: int | None = None) -> Arch:
        """Infer the hyperparameters, and the names of the published variants with these, from the shapes of weights.

        Args:
            tensors: Weights with the keys of this package.
            num_stages: Number of stages to compare, by default all.
        """
        describe = cls.arch_type.describe_shapes
        attributes = describe(tensors, num_stages)
        names = [name for name in cls.archs if describe(build_meta_tensors(cls, name), num_stages) == attributes]
        return Arch(names, attributes)


@functools.cache
def build_meta_tensors(network: type[PretrainedModel], name: str) -> dict[str, Tensor]:
    """Return the state dict of a published variant on the meta device: shapes without values."""
    with torch.device('meta'):
        return network(arch=name).state_dict()


def count_blocks(keys: Iterable[str]) -> Counter[int]:
    """Count the blocks of each stage from the keys of a state dict."""
    blocks = {match.groups() for key in keys if (match := re.match(r'stages\.(\d+)\.blocks\.(\d+)\.', key))}
    return Counter(int(stage) for stage, _ in blocks)


def infer_mlp_ratio(tensors: Mapping[str, Tensor]) -> float:
    """Infer ``mlp_ratio`` from the weights of the first MLP, so that ``int(embed_dims * mlp_ratio)`` is its width."""
    hidden_dims, embed_dims = tensors['stages.0.blocks.0.mlp.fc1.weight'].shape
    # int() rounds down, so return the next larger float.
    return math.nextafter(hidden_dims / embed_dims, math.inf)
