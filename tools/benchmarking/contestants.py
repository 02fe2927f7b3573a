"""Backbones by name: this project's, and others of their size to stand beside.

``gcvit:ARCH``, ``lsa:ARCH`` and mmpretrain's ``swin:ARCH``, with ``@WINDOW`` for windows of that side in all stages;
``convnext:ARCH`` of mmpretrain; ``timm:NAME``, any model of timm that gives feature maps. Weights are random, drop path
is off.
"""

from functools import partial

from torch import Tensor, nn

from mmgcvit.hosts.registry import MODELS
from mmgcvit.models.base import PyramidBackbone


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
    kinds = {**{kind: partial(build_network, network) for kind, network in networks().items()}, **OTHERS}
    if kind not in kinds:
        raise ValueError(f'there is no model {name!r}; expected one of {", ".join(f"{kind}:..." for kind in kinds)}')
    with_windows = (*networks(), *OTHERS_WITH_WINDOWS)
    if window and kind not in with_windows:
        raise ValueError(f'{name!r} sets windows, which only {", ".join(with_windows)} models take here')
    return kinds[kind](arch, size, int(window) if window else None)


def networks() -> dict[str, type[nn.Module]]:
    """This project's backbones: ``{'gcvit': GCViT, 'lsa': LSA}``, not what the ablations make of them."""
    return {name.lower(): kind for name, kind in MODELS.module_dict.items() if PyramidBackbone in kind.__bases__}


def build_network(network: type[nn.Module], arch: str, size: tuple[int, int], window: int | None) -> nn.Module:
    windows = {} if window is None else {'window_size': window}
    return network(arch, drop_path_rate=0.0, **windows)


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


OTHERS = {
    'swin': build_swin,
    'convnext': build_convnext,
    'timm': build_timm,
}
OTHERS_WITH_WINDOWS = ('swin',)
