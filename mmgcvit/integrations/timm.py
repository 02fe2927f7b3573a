"""timm: ``timm.create_model('mmgcvit_gcvit_tiny', ...)``, once this module is imported.

Each published variant of each network is a model of timm's: ``mmgcvit_``, the network, ``_``, the variant. With
``features_only=True`` it gives a list of maps; without, the mean of the last one, as timm's models do that are made
without classes. Weights are read by this package, from what ``pretrained_cfg=dict(file=...)`` names.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..errors import check_installed
from ..models.base import PyramidBackbone
from ..registry import networks

check_installed('mmgcvit.integrations.timm', 'timm')

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model, resolve_pretrained_cfg  # noqa: E402
from timm.models._features import FeatureGetterNet, feature_take_indices  # noqa: E402


class TimmBackbone(nn.Module):
    """A backbone with the methods of timm's models.

    Args:
        backbone: Makes the maps.
        num_classes: 0; a backbone has no classifier.
        global_pool: ``'avg'``: the model gives the mean of the last map, (B, C). ``''``: the map itself.

    Raises:
        ValueError: Something else is given.

    Attributes:
        feature_info: For each stage its channels, its stride and its module, as timm has it.
        num_features: C, channels of the last map.
    """

    def __init__(self, backbone: PyramidBackbone, num_classes: int = 0, global_pool: str = 'avg') -> None:
        super().__init__()
        if num_classes != 0:
            raise ValueError(f'num_classes is {num_classes}; a backbone has no classifier, expected 0')
        if global_pool not in ('avg', ''):
            raise ValueError(f"global_pool is {global_pool!r}; expected 'avg', or '' for the map itself")
        self.backbone = backbone
        self.num_classes, self.global_pool = num_classes, global_pool
        self.feature_info = [
            {'num_chs': channels, 'reduction': stride, 'module': f'backbone.stages.{i}'}
            for i, (channels, stride) in enumerate(zip(backbone.stage_dims, backbone.strides, strict=True))
        ]
        self.num_features = backbone.stage_dims[backbone.out_indices[-1]]

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        output_fmt: str = 'NCHW',
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The maps of some stages, and the last map before them unless ``intermediates_only`` is asked for.

        Stages are named as timm names them: None for all, a number for as many of the last, or a sequence. All maps are
        normalised, whatever ``norm`` says, and NCHW; another format is a ValueError.
        """
        if output_fmt != 'NCHW':
            raise ValueError(f"output_fmt is {output_fmt!r}; expected 'NCHW'")
        made = dict(zip(self.backbone.out_indices, self.backbone(x), strict=True))
        taken, _ = feature_take_indices(len(self.feature_info), indices)
        maps = [made[i] for i in taken]
        return maps if intermediates_only else (made[max(made)], maps)

    def forward_features(self, x: Tensor) -> Tensor:
        """Images (B, in_chans, H, W) to the last map, normalised, (B, C, h, w)."""
        return self.backbone(x)[-1]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The last map (B, C, h, w) to its mean (B, C), or to itself with ``global_pool=''``."""
        return x.mean((2, 3)) if self.global_pool else x

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, in_chans, H, W) to what :meth:`forward_head` gives."""
        return self.forward_head(self.forward_features(x))


def create(
    network: type[PyramidBackbone],
    arch: str,
    name: str,
    pretrained: bool = False,
    pretrained_cfg: Any = None,
    pretrained_cfg_overlay: dict[str, Any] | None = None,
    cache_dir: str | None = None,
    features_only: bool = False,
    out_indices: int | Sequence[int] | None = None,
    **kwargs: Any,
) -> nn.Module:
    """What ``timm.create_model`` calls for the name of a variant ``arch``; what is not said here is as in timm.

    ``pretrained`` takes the weights that ``pretrained_cfg`` or its overlay name as ``file`` (whatever
    :meth:`PyramidBackbone.from_pretrained` takes), ``url`` or ``hf_hub_id``; they are cached where this package and
    huggingface_hub do, whatever ``cache_dir`` says. ``out_indices`` are all stages by default, a number for as many of
    the last, or a sequence. Others are ``in_chans``, ``global_pool`` and arguments of the network.
    """
    cfg = resolve_pretrained_cfg(name, pretrained_cfg, {'num_classes': 0, **(pretrained_cfg_overlay or {})})
    checkpoint = (cfg.file or cfg.url or cfg.hf_hub_id) if pretrained else None
    if pretrained and checkpoint is None:
        raise ValueError(
            f"{name} comes without weights; name some: pretrained_cfg_overlay=dict(file='gcvit_1k_tiny.pth.tar')"
        )
    taken, _ = feature_take_indices(len(network.archs[arch].depths), out_indices)
    if features_only:
        kwargs |= {'features_only': True, 'feature_cls': FeatureGetterNet, 'out_indices': taken}

    def build(num_classes: int = 0, global_pool: str = 'avg', in_chans: int = 3, **arguments: Any) -> TimmBackbone:
        # timm's builder has other uses for out_indices, and keeps them.
        arguments |= {'arch': arch, 'out_indices': taken, 'in_channels': in_chans}
        backbone = network(**arguments) if checkpoint is None else network.from_pretrained(checkpoint, **arguments)
        return TimmBackbone(backbone, num_classes, global_pool)

    # timm's own loading would not know the layouts.
    return build_model_with_cfg(build, name, False, cfg.to_dict(), **kwargs)


def register(network: type[PyramidBackbone], arch: str) -> None:
    """Make one variant known to timm."""
    name = f'mmgcvit_{network.__name__}_{arch}'.lower().replace('-', '_')

    def entrypoint(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        return create(network, arch, name, pretrained, **kwargs)

    entrypoint.__name__ = entrypoint.__qualname__ = name
    default_cfgs.update(generate_default_cfgs({name: {'num_classes': 0, 'architecture': name}}))
    register_model(entrypoint)


# Where timm looks for them, in the module of what is registered.
default_cfgs: dict[str, Any] = {}
for registered in list(networks().values()):
    # What is derived from a network, as ablations are, has its variants and no names of its own.
    for variant in vars(registered).get('archs', ()):
        register(registered, variant)
