"""LSA: Locally Shifted Attention With Early Global Integration (arXiv 2112.05080).

Read on in shifted_patches.py (the stem), stage.py (with the downsampler) and attention.py, then in
../layers. The base class in ../base.py has forward() and freeze(), and ../pretrained.py loads
weights. archs.py has the variants, key_mappings.py the keys of the authors' checkpoints.
../speed_up.py computes ShiftAttention in fewer steps, in a run and in a loaded model.

Shapes: B batch, H x W image in pixels, C_i channels and H_i x W_i size of the map of stage i, S
    stride of the patches.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from ...registry import MODELS
from ..base import PyramidBackbone
from ..layers.arguments import (
    ArchAttributes,
    ImageSize,
    InitCfg,
    Size,
    WindowSize,
    check_drop_path_rate,
    require,
    resolve_arch,
    resolve_img_size,
    resolve_windows,
)
from .archs import ARCHS, LSAArch
from .attention import GroupedAttention, ShiftAttention
from .key_mappings import KEY_MAPPINGS, describe_shapes, make_arch
from .shifted_patches import ShiftedPatchEmbedding
from .stage import NORM_EPS, Block, Downsampler, ShiftBlock, Stage


@MODELS.register_module()
class LSA(PyramidBackbone):
    """Vision transformer with locally shifted attention as a backbone, with one feature map per
    chosen stage.

    Args:
        arch: ``'imagenet-tiny'``, ``'imagenet-small'``, ``'cifar-tiny'``, ``'cifar-small'``,
            ``'cifar-base'``, or a dict of :class:`LSAArch`'s attributes.
        in_channels: Channels of the images.
        window_size: Largest window of self-attention in tokens. An int for all stages, or a list
            with one int or pair (h, w) per stage; None instead of an int is global attention. A map
            is cut into windows of equal size, with little padding. ``(16, None, None, None)``, for
            four stages, makes the first one's memory linear in the number of pixels.
        pretrain_img_size: Image size in pixels (an int or a pair) for which the position embeddings
            are learned. For images of another size the embeddings are resized. The default is the
            variant's size.
        drop_path_rate: Drop path rate of every block. The default is the variant's rate in
            training.
        out_indices: Stages whose feature maps are returned, from 0; all by default. Later stages
            are not built.
        frozen_stages: Number of stages to freeze along with the stem; 0 freezes the stem, -1
            nothing.
        lora_rank: Rank of LoRA in the linear layers of attention and MLPs. Of the backbone, only
            the low-rank matrices and the output norms are trained, and in frozen stages nothing. 0:
            no LoRA; the low-rank matrices of a loaded checkpoint are merged into the weights.
        with_cp: Use activation checkpointing: recompute blocks in the backward pass, for less
            memory and more time.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` loads any released or self-trained LSA
            checkpoint, see :meth:`.PyramidBackbone.init_weights`; or another initialisation of
            mmengine's ``BaseModule``.

    Raises:
        ValueError: The arch, a window, size, rate or stage is invalid. The message says what is
            allowed.

    Shapes: (B, in_channels, H, W), both sides at least 32 px, to a tuple of (B, C_i, H_i, W_i) for
        each i in ``out_indices``. Images are padded to multiples of S. H_0 is the number of patches
        in a column of the image. For i > 0, H_i is half of H_(i-1), rounded up.
    """

    archs = ARCHS
    key_mappings = KEY_MAPPINGS
    describe_shapes = staticmethod(describe_shapes)
    make_arch = staticmethod(make_arch)

    # The modules of the paper; a subclass may set others with the same signature. The first block
    # is that of stage 0 in variants with shifts.
    stem_type: Callable[[int, LSAArch], nn.Module] = ShiftedPatchEmbedding
    stage_type: Callable[..., nn.Module] = Stage
    downsampler_type: Callable[[int, int], nn.Module] = Downsampler
    first_block_type: type[Block] = ShiftBlock
    first_attention_type: Callable[[int, int, int], GroupedAttention] = ShiftAttention

    def __init__(
        self,
        arch: str | ArchAttributes = 'imagenet-tiny',
        in_channels: int = 3,
        window_size: WindowSize | None = None,
        pretrain_img_size: ImageSize | None = None,
        drop_path_rate: float | None = None,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        lora_rank: int = 0,
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ):
        require('with_cp', with_cp, isinstance(with_cp, bool), 'True or False')
        variant = resolve_arch(arch, self.archs, LSAArch)
        num_stages = len(variant.embed_dims)
        windows = resolve_windows(window_size, num_stages, allow_none=True)
        img_size = variant.img_size if pretrain_img_size is None else pretrain_img_size
        size = resolve_img_size(img_size)
        rate = variant.drop_path_rate if drop_path_rate is None else drop_path_rate
        check_drop_path_rate(rate)
        super().__init__(
            in_channels=in_channels,
            stage_dims=variant.embed_dims,
            out_indices=range(num_stages) if out_indices is None else out_indices,
            frozen_stages=frozen_stages,
            lora_rank=lora_rank,
            init_cfg=init_cfg,
            norm_eps=NORM_EPS,
        )
        grids = self.compute_map_sizes(size, variant)
        self.stem = self.stem_type(in_channels, variant)
        self.stages = nn.ModuleList()
        for i in range(self.num_stages):
            stage = self.stage_type(
                arch=variant,
                index=i,
                grid=grids[i],
                window_size=windows[i],
                drop_path_rate=rate,
                with_cp=with_cp,
                first_block_type=self.first_block_type,
                first_attention_type=self.first_attention_type,
            )
            self.stages.append(stage)
        # Between two stages. Each halves the map.
        self.downsamplers = nn.ModuleList(
            self.downsampler_type(dims, next_dims)
            for dims, next_dims in pairwise(variant.embed_dims[: self.num_stages])
        )
        # The authors initialise linear layers and convolutions alike.
        self.finish_init(layer_types=(nn.Linear, nn.Conv2d))

    @classmethod
    def compute_grids(cls, settings: Mapping[str, Any]) -> dict[str, Size]:
        """Return the grid of each stage's position embedding.

        Raise a ValueError or TypeError if the arch or the image size cannot be.
        """
        variant = resolve_arch(settings.get('arch', 'imagenet-tiny'), cls.archs, LSAArch)
        img_size = settings.get('pretrain_img_size') or variant.img_size
        grids = cls.compute_map_sizes(resolve_img_size(img_size), variant)
        return {f'stages.{stage}.position.': grid for stage, grid in enumerate(grids)}

    @classmethod
    def compute_map_sizes(cls, img_size: Size, arch: LSAArch) -> list[Size]:
        """Return the size (h, w) of each stage's map for images of ``img_size`` = (H, W).

        It is that of the maps of a stem and downsamplers on the meta device, which compute shapes
        only.
        """
        with torch.device('meta'):
            images = torch.empty(1, 3, *img_size)  # the sizes do not depend on the channels
            x = cls.stem_type(3, arch)(images)
            height, width = x.shape[-3:-1]
            grids = [(height, width)]
            for dims, next_dims in pairwise(arch.embed_dims):
                downsampler = cls.downsampler_type(dims, next_dims)
                _, height, width, _ = downsampler(torch.empty(1, height, width, dims)).shape
                grids.append((height, width))
        return grids
