"""Base of the backbones: output indices, freezing, checks of arguments and images; loading and saving of weights."""

import copy
import functools
import inspect
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from mmengine.model import BaseModule, PretrainedInit, initialize
from torch import Tensor, nn

from ..checkpoints import CheckpointError, KeyMapping, load_pretrained, read_weights
from ..checkpoints.downloads import find_folder
from ..checkpoints.folder import FILES, WEIGHTS, make_json_arguments, read_config, write_folder
from ..checkpoints.loading import infer_checkpoint_arch
from ..checkpoints.weights import merge_lora
from ..registry import MODELS
from .layers.arguments import check_int, is_int, is_sequence, require
from .layers.blocks import LayerNorm, LoRALinear
from .layers.position import PositionEmbedding, RelativePositionBias
from .layers.tracing import is_exporting

MIN_IMAGE_SIZE = 32


class PyramidBackbone(BaseModule):
    """Base of backbones in published variants, whose stages make ever smaller maps.

    A subclass builds ``self.stem``, ``self.stages``, the first ``self.num_stages`` of
    them, each with its ``blocks``, and between them ``self.downsamplers``; it calls :meth:`adapt` and :meth:`freeze` at
    the end of its constructor, and implements ``forward``. Output i passes through a LayerNorm of its own, ``norm<i>``.

    Args:
        in_channels: Channels of the images.
        stage_dims: Channels of each stage's map, all stages.
        out_indices: Stages whose maps are returned, ascending.
        frozen_stages: Freeze the stem and that many stages; 0 freezes the stem, -1 nothing.
        init_cfg: See mmengine's ``BaseModule``.
        norm_eps: Epsilon of the output norms.

    Attributes:
        archs: The published variants by name.
        default_arch: The name that ``arch`` has by default.
        arch_type: The type of the variants.
        key_mappings: Key mappings of the network's checkpoints, this package's last.
        table_types: The modules whose tables are resized when they are loaded.
    """

    archs: ClassVar[Mapping[str, Any]]
    default_arch: ClassVar[str]
    arch_type: ClassVar[type]
    key_mappings: ClassVar[Sequence[KeyMapping]]
    table_types: ClassVar[Sequence[type[nn.Module]]] = (RelativePositionBias, PositionEmbedding)

    lora_rank = 0

    def __new__(cls, *args: Any, **kwargs: Any) -> 'PyramidBackbone':
        """Record the constructor's arguments, a subclass's too, for :meth:`constructor_arguments`."""
        backbone = super().__new__(cls)
        backbone.called_with = copy.deepcopy((args, kwargs))  # the caller may change its own later
        return backbone

    def __init__(
        self,
        in_channels: int,
        stage_dims: Sequence[int],
        out_indices: Sequence[int],
        frozen_stages: int,
        init_cfg: dict | list[dict] | None,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        is_valid = is_sequence(out_indices) and all(is_int(i, 0) and i < len(stage_dims) for i in out_indices)
        is_valid = is_valid and list(out_indices) == sorted(set(out_indices)) != []
        expected = f'ascending stage numbers between 0 and {len(stage_dims) - 1}, each once'
        require('out_indices', out_indices, is_valid, expected)
        self.in_channels = check_int('in_channels', in_channels, 1)
        self.out_indices = tuple(out_indices)
        self.stage_dims = tuple(stage_dims)
        self.num_stages = self.out_indices[-1] + 1
        self.frozen_stages = check_int('frozen_stages', frozen_stages, -1)
        expected = f'-1 (nothing), 0 (the stem) or up to {self.num_stages}, the number of stages that out_indices needs'
        require('frozen_stages', frozen_stages, self.frozen_stages <= self.num_stages, expected)
        for i in self.out_indices:
            self.add_module(f'norm{i}', LayerNorm(stage_dims[i], eps=norm_eps))

    def levels(self) -> Iterable[tuple[nn.Module, nn.Module]]:
        """The stem and the first stage, then each downsampler and the stage behind it."""
        return zip([self.stem, *self.downsamplers], self.stages, strict=True)

    def output(self, i: int, x: Tensor) -> Tensor:
        """Output i of stage i's map: (B, H_i, W_i, C_i) to (B, C_i, H_i, W_i), normalised."""
        return self.get_submodule(f'norm{i}')(x).permute(0, 3, 1, 2).contiguous()

    def check_images(self, images: Tensor) -> None:
        """Raise for images that a backbone cannot process. Not in exports, which serve all sizes.

        Raises:
            TypeError: ``images`` is not a tensor of floats.
            ValueError: ``images`` is not (B, in_channels, H, W), or has a side under 32 px.
        """
        if is_exporting() or isinstance(images, torch.fx.Proxy):
            return
        if not isinstance(images, Tensor) or not images.is_floating_point():
            found = f'a tensor of {images.dtype}' if isinstance(images, Tensor) else type(images).__name__
            raise TypeError(f'images are {found}; expected floats (B, C, H, W), normalised as a data_preprocessor does')
        if images.ndim != 4 or images.shape[1] != self.in_channels or min(images.shape[2:]) < MIN_IMAGE_SIZE:
            raise ValueError(
                f'images have shape {tuple(images.shape)}; expected (B, {self.in_channels}, H, W), '
                f'both sides at least {MIN_IMAGE_SIZE} px'
            )

    def adapt(self, lora_rank: int) -> None:
        """Train nothing of the backbone but LoRA of that rank in attention's linear layers; 0 does nothing."""
        self.lora_rank = check_int('lora_rank', lora_rank, 0)
        if not self.lora_rank:
            return
        self.requires_grad_(False)
        for attn in (block.attn for stage in self.stages for block in stage.blocks):
            for name, layer in attn.named_children():
                if isinstance(layer, nn.Linear):
                    setattr(attn, name, LoRALinear(layer, self.lora_rank))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        if not self.lora_rank:
            merge_lora(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def freeze(self) -> None:
        """Put the stem and the frozen stages, each with the downsampler after it and its output norm, in eval mode, and
        take their parameters out of training.
        """
        if self.frozen_stages < 0:
            return
        count = self.frozen_stages
        norms = (self.get_submodule(f'norm{i}') for i in self.out_indices if i < count)
        for part in (self.stem, *self.stages[:count], *self.downsamplers[:count], *norms):
            part.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> 'PyramidBackbone':
        """Switch to training or eval mode; frozen parts stay in eval mode."""
        super().train(mode)
        self.freeze()
        return self

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """The depth of a parameter, for layer-wise learning rate decay.

        Depth 0 is what comes before the blocks; the blocks count from 1; parts between stages go with the last block
        before them, other parts of a stage with its first block. The output norms, and what is outside of the
        backbone, come last.

        Args:
            param_name: The parameter's name in the model.
            prefix: The backbone's name in the model with a dot behind it, for example ``'backbone.'``.

        Returns:
            Its depth, from 0 to one less than the second number; and the number of depths.
        """
        first_block = [*itertools.accumulate((len(stage.blocks) for stage in self.stages), initial=1)]
        last = first_block[-1]
        name = param_name[len(prefix) :]
        if not param_name.startswith(prefix) or re.match(r'norm\d', name):
            return last, last + 1
        part = re.match(r'(stages|downsamplers)\.(\d+)\.(?:blocks\.(\d+)\.)?', name)
        if part is None:
            return 0, last + 1
        kind, index, block = part[1], int(part[2]), int(part[3] or 0)
        return (first_block[index] + block if kind == 'stages' else first_block[index + 1] - 1), last + 1

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path,
        prefix: str | None = None,
        ema: bool = False,
        revision: str | None = None,
        **arguments: Any,
    ) -> 'PyramidBackbone':
        """A backbone with the weights of a checkpoint, all of them; see :func:`load_pretrained`.

        Args:
            checkpoint: A folder that :meth:`save_pretrained` has written, here or on the Hugging Face Hub
                (``OWNER/NAME``); or a file, an http(s) address, or ``timm://NAME``.
            prefix: Use the tensors with this prefix, if a file has several networks.
            ema: Use the EMA weights.
            revision: A branch, tag or commit on the Hub.
            arguments: The constructor's, without ``init_cfg``. They override those of a folder. Without ``arch``, the
                published variant is inferred from a file's weights; windows and image size are not. Tables of other
                windows than ``window_size`` are resized, which the log says.

        Raises:
            CheckpointError: The weights did not load, or are of none of the published variants and ``arch`` is missing;
                or a folder is not what was written.
        """
        network, source = cls, {'checkpoint': str(checkpoint), 'prefix': prefix, 'ema': ema}
        folder = find_folder(checkpoint, FILES, revision)
        if folder is not None:
            network, described = read_config(folder, cls)
            source['checkpoint'] = str(folder / WEIGHTS)
            arguments = {**described, **arguments}
        elif 'arch' not in arguments:
            found = infer_checkpoint_arch(read_weights(str(checkpoint), prefix, ema), cls, cls.infer_arch).strip("'")
            if found not in cls.archs:
                raise CheckpointError(f'{checkpoint} has weights of {cls.__name__} {found}; say which by arch=...')
            arguments['arch'] = found
        backbone = network(**arguments, init_cfg={'type': 'Pretrained', **source})
        backbone.init_weights()
        return backbone

    def save_pretrained(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write the backbone as a folder of ``config.json`` and ``model.safetensors``.

        :meth:`from_pretrained` builds it again, with all arguments of the constructor and all weights, so that maps are
        equal to the bit. Not with another dtype: weights of half precision come back in torch's default one; and LoRA
        comes back added to the weights.

        Args:
            folder: Made if it is not there.
            overwrite: Whether a backbone that is there may be replaced.

        Raises:
            FileExistsError: There is one, and it may not.
            TypeError, ValueError: JSON has no such argument, or the class is not registered.
            CheckpointError: A weight is not finite; or safetensors is not installed.
        """
        network, tensors = type(self), self.state_dict()
        merge_lora(tensors)
        if MODELS.module_dict.get(network.__name__) is not network:
            raise ValueError(f'{network.__name__} is not registered; decorate it with @MODELS.register_module()')
        arguments = {**self.constructor_arguments(), **({'lora_rank': 0} if self.lora_rank else {})}
        write_folder(Path(folder).expanduser(), network.__name__, arguments, tensors, overwrite)

    def constructor_arguments(self) -> dict[str, Any]:
        """What the backbone was built with, defaults included, without ``init_cfg``, as plain JSON values.

        Raises:
            TypeError: The constructor was called with something that JSON does not have.
        """
        args, kwargs = self.called_with
        signature = inspect.signature(type(self).__init__)
        call = signature.bind(self, *args, **kwargs)
        call.apply_defaults()
        arguments = dict(call.arguments)
        for parameter in signature.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                arguments |= arguments.pop(parameter.name)
        return make_json_arguments(
            {name: value for name, value in arguments.items() if name not in ('self', 'init_cfg')}
        )

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says.

        ``dict(type='Pretrained', checkpoint=SOURCE)`` loads a file, an http(s) URL or ``timm://NAME`` with any known
        key mapping, recognised by content, and runs no code in it. Two more keys: ``prefix`` chooses one of several
        networks in a file, ``ema=True`` the EMA weights.

        Raises:
            CheckpointError: The weights did not load, all of them; see :func:`load_pretrained`.
        """
        configs = [self.init_cfg] if isinstance(self.init_cfg, Mapping) else self.init_cfg or []
        pretrained = [config for config in configs if config['type'] in ('Pretrained', PretrainedInit)]
        initialize(self, [config for config in configs if config not in pretrained])
        describe = functools.partial(self.infer_arch, num_stages=self.num_stages)
        for config in pretrained:
            # map_location, which mmengine knows, has nothing to decide: weights are read on the CPU and copied.
            options = {key: value for key, value in config.items() if key not in ('type', 'map_location')}
            load_pretrained(self, describe, **options)
        self._is_init = True

    @classmethod
    def infer_arch(cls, tensors: Mapping[str, Tensor], num_stages: int | None = None) -> str:
        """The variant that weights belong to, by their shapes: its name, or what it is made of.

        Args:
            tensors: Weights by their names here.
            num_stages: How many stages to look at, all by default. Variants that differ only later are named together.
        """
        infer = cls.arch_type.infer
        arch = infer(tensors, num_stages)
        names = [name for name in cls.archs if infer(published_tensors(cls, name), num_stages) == arch]
        sizes = (f'{key} {value:.4g}' if isinstance(value, float) else f'{key} {value}' for key, value in arch.items())
        return ' or '.join(map(repr, names)) or f'of {", ".join(sizes)}'


@functools.cache
def published_tensors(network: type[PyramidBackbone], name: str) -> dict[str, Tensor]:
    """Names and shapes of the weights of a published variant."""
    with torch.device('meta'):
        return network(arch=name).state_dict()
