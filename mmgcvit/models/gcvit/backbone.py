"""GC ViT: Global Context Vision Transformers, ICML 2023 (arXiv 2206.09959).

Read on in convs.py (stem and downsampler), stage.py, global_query.py and attention.py, then in ../layers. What the
backbone inherits, from levels() to freeze(), loading and saving, is in ../base.py; archs.py has the variants,
key_mappings.py the keys of other implementations.

Shapes: B batch, H x W image in pixels, C channels of the first stage.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ...registry import MODELS
from ..base import PyramidBackbone
from ..layers.arguments import WindowSize, check_float, require, resolve_arch, resolve_windows
from ..layers.blocks import init_transformer_weights
from ..layers.cpu import run_in_chunks
from .archs import ARCHS, NUM_STAGES, GCViTArch
from .convs import Downsampler, Stem
from .global_query import query_poolings
from .key_mappings import KEY_MAPPINGS
from .stage import Stage


@MODELS.register_module()
class GCViT(PyramidBackbone):
    """Global Context Vision Transformer as a backbone: images in, one map per chosen stage out.

    Args:
        arch: ``'xxtiny'``, ``'xtiny'``, ``'tiny'``, ``'tiny2'``, ``'small'``, ``'small2'``, ``'base'``, ``'large'``,
            or a dict with ``embed_dims, depths, num_heads, mlp_ratio`` and, if wanted, ``layer_scale,
            drop_path_rate``.
        in_channels: Channels of the images.
        window_size: Side of the attention windows in tokens, for all stages or one per stage; each a number, or a
            pair (h, w). Published: 7, 7, 14, 7 for images of 224 px; 16 or 24 in every stage for dense prediction.
        pretrain_img_size: Side in pixels of the images that the weights were trained on (a number or a pair). It
            decides whether the third stage's global query generator halves its map; checkpoints do not store it.
            Inputs may be of any other size.
        drop_path_rate: Drop path rate of the last block, rising linearly from 0. Default: the variant's in ImageNet
            training.
        out_indices: Stages whose maps are returned, 0 to 3. Stages after the last of them are not built.
        frozen_stages: Freeze the stem and that many stages; 0 freezes the stem, -1 nothing.
        lora_rank: Train nothing but LoRA, additions of that rank to the weights of attention's linear layers; 0: none.
            Checkpoints with it load into plain backbones too, added up.
        with_cp: Activation checkpointing: recompute blocks in the backward pass, for less memory and more time.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` loads any released or self-trained GC ViT checkpoint, see
            :meth:`PyramidBackbone.init_weights`; or another initialisation of mmengine's ``BaseModule``.

    Raises:
        ValueError: An argument is out of its range or of the wrong type. The message says what is allowed.

    Shapes: (B, in_channels, H, W), both sides at least 32 px, to a tuple of (B, 2^i * C, H_i, W_i) for each i in
    ``out_indices``, H_i = H / 4 / 2^i rounded up.
    """

    archs = ARCHS
    default_arch = 'tiny'
    arch_type = GCViTArch
    key_mappings = KEY_MAPPINGS

    # The parts of the paper; a subclass may name others with the same signatures.
    stem_type = Stem
    stage_type = Stage
    downsampler_type = Downsampler

    def __init__(
        self,
        arch: str | Mapping[str, Any] = default_arch,
        in_channels: int = 3,
        window_size: WindowSize = (7, 7, 14, 7),
        pretrain_img_size: int | tuple[int, int] = 224,
        drop_path_rate: float | None = None,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        lora_rank: int = 0,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        arch = resolve_arch(arch, ARCHS)
        dims = arch.stage_dims
        windows = resolve_windows(window_size, NUM_STAGES)
        poolings = query_poolings(windows, pretrain_img_size)
        rate = arch.drop_path_rate if drop_path_rate is None else drop_path_rate
        drop_path_rates = drop_path_schedule(rate, arch.depths)
        require('with_cp', with_cp, isinstance(with_cp, bool), 'True or False')
        super().__init__(in_channels, dims, out_indices, frozen_stages, init_cfg)
        self.stem = self.stem_type(in_channels, arch.embed_dims)
        self.stages = nn.ModuleList(
            self.stage_type(
                embed_dims=dims[i],
                num_heads=arch.num_heads[i],
                window=windows[i],
                mlp_ratio=arch.mlp_ratio,
                layer_scale=arch.layer_scale,
                drop_path_rates=drop_path_rates[i],
                poolings=poolings[i],
                with_cp=with_cp,
            )
            for i in range(self.num_stages)
        )
        self.downsamplers = nn.ModuleList(
            self.downsampler_type(dims[i - 1], dims[i]) for i in range(1, self.num_stages)
        )
        self.apply(init_transformer_weights)
        self.adapt(lora_rank)
        self.freeze()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, in_channels, H, W) to one map (B, 2^i * C, H_i, W_i) for each i in ``out_indices``."""
        self.check_images(images)
        x, maps = images, []
        for i, (before, stage) in enumerate(self.levels()):
            x = run_in_chunks(before, stage, x)  # stage(before(x)), on a CPU a few images at a time
            if i in self.out_indices:
                maps.append(self.output(i, x))
        return tuple(maps)


def drop_path_schedule(drop_path_rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Drop path rates of each stage's blocks, rising linearly over all blocks from 0 to ``drop_path_rate``."""
    drop_path_rate = check_float('drop_path_rate', drop_path_rate, 0, below=1)
    last = max(sum(depths) - 1, 1)
    rates = iter([drop_path_rate * block / last for block in range(sum(depths))])
    return [[next(rates) for _ in range(depth)] for depth in depths]
