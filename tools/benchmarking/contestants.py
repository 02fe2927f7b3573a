"""Backbones by name: this project's, and others of their size to stand beside.

``gcvit:ARCH``, ``lsa:ARCH`` and mmpretrain's ``swin:ARCH``, with ``@WINDOW`` for windows of that side in all stages;
``convnext:ARCH`` of mmpretrain; ``timm:NAME``, any model of timm that gives feature maps. Weights are random, drop path
is off.
"""

from torch import Tensor, nn

from mmgcvit.gcvit import GCViT
from mmgcvit.lsa import LSA


class Tuple(nn.Module):
    """A model of one output as a backbone of one map."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.model.forward_features(images),)


def build_contestant(name: str, size: tuple[int, int]) -> nn.Module:
    """Build a backbone for images of a size: (B, 3, H, W) to its maps, in a tuple.

    Raises:
        ValueError: Nobody has that name, or the model takes no images of that size.
    """
    kind, _, rest = name.partition(':')
    arch, _, window = rest.partition('@')
    if kind not in KINDS:
        raise ValueError(f'there is no model {name!r}; expected one of {", ".join(f"{kind}:..." for kind in KINDS)}')
    if window and kind not in WITH_WINDOWS:
        raise ValueError(f'{name!r} sets windows, which only {", ".join(WITH_WINDOWS)} models take here')
    return KINDS[kind](arch, size, int(window) if window else None)


def build_gcvit(arch: str, size: tuple[int, int], window: int | None) -> nn.Module:
    windows = (7, 7, 14, 7) if window is None else window
    return GCViT(arch, window_size=windows, drop_path_rate=0.0)


def build_lsa(arch: str, size: tuple[int, int], window: int | None) -> nn.Module:
    return LSA(arch, window_size=window, drop_path_rate=0.0)


def build_swin(arch: str, size: tuple[int, int], window: int | None) -> nn.Module:
    from mmpretrain.models import SwinTransformer

    return SwinTransformer(arch, window_size=window or 7, pad_small_map=True, drop_path_rate=0.0, out_indices=range(4))


def build_convnext(arch: str, size: tuple[int, int], window: int | None) -> nn.Module:
    from mmpretrain.models import ConvNeXt

    return ConvNeXt(arch, out_indices=range(4), gap_before_final_norm=False, drop_path_rate=0.0)


def build_timm(name: str, size: tuple[int, int], window: int | None) -> nn.Module:
    import timm

    try:
        model = timm.create_model(name, num_classes=0, drop_path_rate=0.0, img_size=size)
    except TypeError:  # a model for images of any size
        model = timm.create_model(name, num_classes=0, drop_path_rate=0.0)
    return Tuple(model)


KINDS = {
    'gcvit': build_gcvit,
    'lsa': build_lsa,
    'swin': build_swin,
    'convnext': build_convnext,
    'timm': build_timm,
}
WITH_WINDOWS = ('gcvit', 'lsa', 'swin')
