"""transformers: ``AutoConfig``, ``AutoBackbone`` and ``AutoModel`` know the backbones, once this module is imported.

They read and write the folders of ``save_pretrained``: one set of keys in config.json, and one of names in
model.safetensors but for the prefix ``backbone.``.
"""

from typing import Any

from torch import Tensor, nn

from ..checkpoints import CheckpointError
from ..checkpoints.folder import KEYS, MODEL_TYPE, config_in
from ..checkpoints.loading import OUTPUT_NORM
from ..errors import check_installed, shorten
from ..models.base import PyramidBackbone
from ..models.layers.arguments import resolve_variant
from ..version import __version__

check_installed('mmgcvit.integrations.transformers', 'transformers')

from transformers import AutoBackbone, AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel  # noqa: E402
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin  # noqa: E402
from transformers.modeling_outputs import BackboneOutput  # noqa: E402

PREFIX = 'backbone'
# Of torch's own tensors, in bytes.
ALIGNMENT = 64


class MMGCViTConfig(BackboneConfigMixin, PreTrainedConfig):
    """How a backbone is built, as transformers keeps it.

    Args:
        network: The name of a registered class: ``'GCViT'`` or ``'LSA'``.
        arguments: Those of its constructor.
        out_features: Of transformers': ``'stage1'``, ``'stage2'``, ... It goes before ``arguments['out_indices']``.
        out_indices: Of transformers', as the network's own: stages from 0. It goes before ``arguments['out_indices']``.
        mmgcvit_version: Of the package that wrote it.

    Raises:
        CheckpointError: No network is registered by that name, or an argument is none that a folder may have.
        ValueError: A stage is asked for that the network does not have.
    """

    model_type = MODEL_TYPE

    network: str = 'GCViT'
    arguments: dict | None = None
    mmgcvit_version: str = __version__
    _out_features: list[str] | None = None
    _out_indices: list[int] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        self.arguments = dict(self.arguments or {})
        network = self.network_type()
        variant = resolve_variant(self.arguments.get('arch', network.default_arch), network.archs)
        self.stage_names = [f'stage{i + 1}' for i in range(len(variant.depths))]
        features, indices = kwargs.pop('out_features', None), kwargs.pop('out_indices', None)
        if features is None and indices is None:
            indices = self.arguments.get('out_indices') or range(len(self.stage_names))
        self.set_output_features_output_indices(features, None if indices is None else list(indices))
        kwargs.pop('stage_names', None)
        super().__post_init__(**kwargs)

    def network_type(self) -> type[PyramidBackbone]:
        """The class of the network."""
        content = {'model_type': MODEL_TYPE, **{key: getattr(self, key) for key in KEYS if key != 'model_type'}}
        return config_in(content, 'the config', PyramidBackbone)[0]

    def stages(self) -> list[int]:
        """The stages whose maps are wanted, from 0."""
        return [range(len(self.stage_names))[i] for i in self.out_indices]

    def to_dict(self) -> dict[str, Any]:
        """What config.json holds; its arguments say which maps, too."""
        content = super().to_dict()
        if 'arguments' in content:
            content['arguments'] = {**self.arguments, 'out_indices': self.stages()}
        return content


class MMGCViTBackbone(BackboneMixin, PreTrainedModel):
    """A backbone as transformers' models are.

    Args:
        config: How it is built.
    """

    config_class = MMGCViTConfig
    base_model_prefix = PREFIX
    main_input_name = 'pixel_values'
    has_attentions = False

    def __init__(self, config: MMGCViTConfig) -> None:
        super().__init__(config)
        self.backbone = config.network_type()(**{**config.arguments, 'out_indices': config.stages()})
        self.num_features = list(self.backbone.stage_dims)
        self.post_init()

    @classmethod
    def from_pretrained(cls, *args: Any, output_loading_info: bool = False, **kwargs: Any) -> Any:
        """See transformers; safetensors only, and all of the network's weights or none.

        Raises:
            CheckpointError: Weights are missing; only output norms may be.
        """
        kwargs = {'use_safetensors': True, **kwargs}
        model, info = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        missing = [name for name in info['missing_keys'] if not OUTPUT_NORM.match(name.removeprefix(f'{PREFIX}.'))]
        if missing:
            raise CheckpointError(f'{model.name_or_path} lacks {len(missing)} tensors of the model: {shorten(missing)}')
        align(model)
        return (model, info) if output_loading_info else model

    def init_weights(self) -> None:
        """Nothing: the network has initialised itself."""

    def forward(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> BackboneOutput | tuple[tuple[Tensor, ...]]:
        """Images (B, in_channels, H, W) to ``feature_maps``, one (B, C_i, H_i, W_i) for each of ``out_features``.

        Hidden states and attentions are none of the network's outputs; they are asked for by transformers' detectors
        and always None.
        """
        made = dict(zip(self.backbone.out_indices, self.backbone(pixel_values), strict=True))
        maps = tuple(made[i] for i in self.config.stages())
        return BackboneOutput(feature_maps=maps) if return_dict is not False else (maps,)


def align(model: nn.Module) -> None:
    """Put tensors that are mapped from a file on a CPU into memory of their own, aligned as torch's.

    Else matrix products take other paths for them, and maps differ from the network's in the last bit.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.device.type == 'cpu' and tensor.data_ptr() % ALIGNMENT:
            tensor.data = tensor.data.clone()


AutoConfig.register(MODEL_TYPE, MMGCViTConfig)
AutoBackbone.register(MMGCViTConfig, MMGCViTBackbone)
AutoModel.register(MMGCViTConfig, MMGCViTBackbone)
