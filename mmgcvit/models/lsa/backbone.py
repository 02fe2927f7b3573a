"""LSA: Locally Shifted Attention With Early Global Integration (arXiv 2112.05080).

Read on in shifted_patches.py (the stem), stage.py (with the downsampler) and attention.py, then in
../layers. The base class in ../base.py has forward() and freeze(), and loads weights. archs.py has
the variants, key_mappings.py the keys of the authors' checkpoints. ../speed_up.py computes
ShiftAttention in fewer steps, when a command runs.

Shapes: B batch, H x W image in pixels, C_i channels and H_i x W_i size of the map of stage i, S
    stride of the patches.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import nn

from ...registry import MODELS
from ..base import PyramidBackbone
from ..layers.arguments import (
    ArchAttributes,
    ImageSize,
    InitCfg,
    Size,
    WindowSize,
    check_bool,
    resolve_arch,
    resolve_drop_path_rate,
    resolve_img_size,
    resolve_windows,
)
from ..layers.padding import ceil_div
from .archs import ARCHS, LSAArch
from .key_mappings import KEY_MAPPINGS, describe_shapes
from .shifted_patches import ShiftedPatchEmbedding, count_patches
from .stage import NORM_EPS, Downsampler, Stage


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

    # The modules of the paper; a subclass may set others with the same signature.
    stem_type: type[nn.Module] = ShiftedPatchEmbedding
    stage_type: type[nn.Module] = Stage
    downsampler_type: type[nn.Module] = Downsampler

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
        check_bool('with_cp', with_cp)
        variant = resolve_arch(arch, self.archs, LSAArch)
        num_stages = len(variant.embed_dims)
        windows = resolve_windows(window_size, num_stages)
        img_size = variant.img_size if pretrain_img_size is None else pretrain_img_size
        grids = compute_grids(resolve_img_size(img_size), variant)
        rate = resolve_drop_path_rate(drop_path_rate, variant)
        super().__init__(
            in_channels=in_channels,
            stage_dims=variant.embed_dims,
            out_indices=range(num_stages) if out_indices is None else out_indices,
            frozen_stages=frozen_stages,
            lora_rank=lora_rank,
            init_cfg=init_cfg,
            norm_eps=NORM_EPS,
        )
        self.stem = self.stem_type(in_channels, variant)
        self.stages = nn.ModuleList(
            self.stage_type(variant, i, grids[i], windows[i], rate, with_cp)
            for i in range(self.num_stages)
        )
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
        grids = compute_grids(resolve_img_size(img_size), variant)
        return {f'stages.{stage}.position.': grid for stage, grid in enumerate(grids)}


def compute_grids(img_size: Size, arch: LSAArch) -> list[Size]:
    """Return the size (h, w) of each stage's map for images of ``img_size`` = (H, W): the patches
    of the stem, which each downsampler halves.
    """
    height, width = count_patches(img_size, arch)
    grids = []
    for _ in arch.embed_dims:
        grids.append((height, width))
        height = ceil_div(height, 2)
        width = ceil_div(width, 2)
    return grids
