"""Load the weights of a backbone from checkpoints of any implementation with a key mapping."""

import functools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModule, PretrainedInit, initialize
from torch import Tensor

from ..checkpoints.translating import Arch, StateDict, get_shape
from ..errors import CheckpointError


class PretrainedModel(BaseModule):
    """Base class of networks that load weights: by ``init_cfg``, ``load_state_dict`` or
    :meth:`from_pretrained`.

    A subclass has the class attributes

    * ``archs``: the published variants by name;
    * ``key_mappings``: for each known kind of checkpoint, a :class:`.KeyMapping` that translates
      its keys; the last is for this package's own;
    * ``describe_shapes(tensors, num_stages)``: returns what the shapes of weights (local keys) of
      all or the first stages show of the arch, by name. It reads them by :func:`.get_shape`.
    * ``make_arch(tensors)``: returns the attributes of an arch whose weights have these shapes;
    * ``compute_grids(settings)``: returns the grid (h, w) of the position tables whose keys begin
      with each prefix, for arguments of the constructor that may come from a file. It raises a
      ValueError or TypeError for those that cannot be.
    """

    def _load_from_state_dict(self, state_dict: StateDict, prefix: str, *args: Any) -> None:
        # torch and mmengine call this for each module: whichever program loads weights, no LoRA
        # matrices are left out of a backbone that has none.
        from ..checkpoints.lora import fit_lora

        fit_lora(state_dict, self.state_dict(prefix=prefix), 'the state dict', prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @classmethod
    def from_pretrained(
        cls, checkpoint: str | Path, prefix: str | None = None, ema: bool = False, **arguments: Any
    ) -> 'PretrainedModel':
        """Build a backbone and load its weights from a checkpoint, which may lack only output norms
        and LoRA matrices.

        Args:
            checkpoint: A file, an http(s) URL, or ``timm://NAME``.
            prefix: Prefix of the backbone's keys, for a checkpoint with several networks.
            ema: Use the EMA weights.
            arguments: Arguments of the constructor except ``init_cfg``. Without ``arch``, the
                published variant is inferred from the weights. Position biases of another window
                size are resized, which is logged.

        Raises:
            CheckpointError: The weights do not match, or ``arch`` is missing and the weights are
                not those of a published variant.
        """
        from ..checkpoints.loading import infer_checkpoint_arch, load_pretrained
        from ..checkpoints.weights import read_weights

        weights = read_weights(str(checkpoint), prefix, ema)
        if 'arch' not in arguments:
            arch = infer_checkpoint_arch(weights, cls)
            if not arch.names:
                raise CheckpointError(
                    f'{checkpoint} has weights of {cls.__name__} {arch}, which is not a published '
                    'variant. Set arch=dict(...) to the values with which it was trained'
                )
            arguments['arch'] = arch.names[0]
        backbone = cls(**arguments)
        load_pretrained(backbone, weights)
        return backbone

    def init_weights(self) -> None:
        """Initialise the weights as ``init_cfg`` says.

        ``dict(type='Pretrained', checkpoint=SOURCE)`` loads a file, an http(s) URL or
        ``timm://NAME``. The checkpoint may be of any implementation in ``key_mappings``, and no
        code in it is run. The dict may also have ``prefix``, the prefix of the backbone's keys in a
        checkpoint of several networks, and ``ema=True`` for the EMA weights. Raise a
        CheckpointError if keys or shapes do not match; see :func:`load_pretrained`.
        """
        configs = self.init_cfg or []
        if isinstance(configs, Mapping):
            configs = [configs]
        pretrained = [cfg for cfg in configs if cfg['type'] in ('Pretrained', PretrainedInit)]
        initialize(self, [cfg for cfg in configs if cfg not in pretrained])
        for cfg in pretrained:
            # Networks that load nothing need none of the readers.
            from ..checkpoints.loading import load_pretrained
            from ..checkpoints.weights import read_weights

            # mmengine's map_location is ignored: weights are read on the CPU and copied to the
            # device.
            options = {key: cfg[key] for key in cfg if key not in ('type', 'map_location')}
            load_pretrained(self, read_weights(options.pop('checkpoint'), **options))
        self._is_init = True

    @classmethod
    def infer_arch(cls, tensors: Mapping[str, Tensor], num_stages: int | None = None) -> Arch:
        """Return what the shapes of weights show of the arch, and the names of the published
        variants of which they show the same.

        ``tensors`` have the keys of this package. Only the first ``num_stages`` are compared, by
        default all. Raise an ArchError if weights are missing or have impossible shapes.
        """
        attributes = cls.describe_shapes(tensors, num_stages)
        network: Any = cls  # mypy does not know that classes can be keys of a cache
        names = [
            name
            for name in cls.archs
            if cls.describe_shapes(build_meta_tensors(network, name), num_stages) == attributes
        ]
        return Arch(names, attributes)


@functools.cache
def build_meta_tensors(network: type[PretrainedModel], name: str) -> dict[str, Tensor]:
    """Return the state dict of a published variant on the meta device: shapes without values."""
    with torch.device('meta'):
        return network(arch=name).state_dict()


def count_blocks(keys: Iterable[str]) -> Counter[int]:
    """Count the blocks of each stage from the keys of a state dict."""
    blocks = re.findall(r'^stages\.(\d+)\.blocks\.(\d+)\.', '\n'.join(keys), re.MULTILINE)
    return Counter(int(stage) for stage, _ in set(blocks))


def infer_mlp_ratio(tensors: Mapping[str, Tensor]) -> float:
    """Infer ``mlp_ratio`` from the weights of the first MLP, so that ``int(embed_dims *
    mlp_ratio)`` is its width.
    """
    hidden_dims, embed_dims = get_shape(tensors, 'stages.0.blocks.0.mlp.fc1.weight', 2)
    # int() rounds down. The next larger float has the same width even if the quotient is rounded.
    return math.nextafter(hidden_dims / embed_dims, math.inf)
