"""Base of the backbones: their weights, from checkpoints and folders, and saved as such."""

import functools
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from mmengine.model import BaseModule, PretrainedInit, initialize
from torch import Tensor

from .checkpoints import CheckpointError, Layout, load_pretrained, read_weights
from .checkpoints.folder import (
    CONFIG,
    WEIGHTS,
    FolderConfig,
    check_belongs,
    network_in,
    plain,
    read_config,
    write_folder,
)
from .checkpoints.hub import folder_of
from .layers import Variant
from .registry import MODELS


class PretrainedBackbone(BaseModule):
    """Base of networks in published variants, whose weights are recognised, loaded and saved.

    A subclass has ``out_indices``, ``stage_dims`` and ``num_stages``, as :class:`mmgcvit.pyramid.PyramidBackbone` says.

    Attributes:
        archs: The published variants by name.
        default_arch: The name that ``arch`` has by default.
        arch_type: The type of the variants.
        layouts: The layouts in which checkpoints of the network exist, this package's last.
    """

    archs: ClassVar[Mapping[str, Variant]]
    default_arch: ClassVar[str]
    arch_type: ClassVar[type[Variant]]
    layouts: ClassVar[Sequence[Layout]]

    def __new__(cls, *args: Any, **kwargs: Any) -> 'PretrainedBackbone':
        """Note what the constructor is called with, a subclass's too, for :meth:`constructor_arguments`."""
        backbone = super().__new__(cls)
        backbone.called_with = (snapshot(args), snapshot(kwargs))
        return backbone

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path,
        prefix: str | None = None,
        ema: bool = False,
        revision: str | None = None,
        **arguments: Any,
    ) -> 'PretrainedBackbone':
        """A backbone with the weights of a checkpoint, all of them; see :func:`load_pretrained`.

        Args:
            checkpoint: A folder that :meth:`save_pretrained` has written, here or on the Hugging Face Hub
                (``OWNER/NAME``); or a file, an http(s) address, or ``timm://NAME``.
            prefix: Take the tensors under this prefix only, where a file holds several networks.
            ema: Take the exponential moving average of the weights where the file has one beside them.
            revision: Of a name on the Hub: a branch, a tag or a commit.
            arguments: Those of the constructor but ``init_cfg``. A folder has them all, and these go before its own.
                Of a file, the weights tell without ``arch`` which published variant they are of; windows and image size
                are not taken from them. Weights of other windows than ``window_size`` have their tables resized, which
                the log says.

        Raises:
            CheckpointError: The weights did not load, or are of none of the published variants and ``arch`` is missing;
                or a folder is not what was written.
        """
        network, source = cls, {'checkpoint': str(checkpoint), 'prefix': prefix, 'ema': ema}
        folder = folder_of(checkpoint, revision)
        if folder is not None:
            config = read_config(folder)
            network = network_in(config, cls, str(folder / CONFIG))
            check_belongs(network, config, folder)
            source['checkpoint'] = str(folder / WEIGHTS)
            arguments = {**config.arguments, **arguments}
        elif 'arch' not in arguments:
            arguments['arch'] = cls.name_of_arch(**source)
        backbone = network(**arguments, init_cfg={'type': 'Pretrained', **source})
        backbone.init_weights()
        return backbone

    def save_pretrained(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write the backbone as a folder of ``config.json`` and ``model.safetensors``.

        :meth:`from_pretrained` builds it again, with all arguments of the constructor and all weights, so that maps are
        equal to the bit. Not with another dtype: weights of half precision come back in torch's default one.

        Args:
            folder: Made if it is not there.
            overwrite: Whether a backbone that is there may be replaced.

        Raises:
            FileExistsError: There is one, and it may not.
            TypeError: The constructor was called with something that JSON does not have.
            ValueError: The class is not registered, or parts of the backbone were changed after it was built.
            CheckpointError: A weight is not finite; or safetensors is not installed.
        """
        network, tensors = type(self), self.state_dict()
        if MODELS.module_dict.get(network.__name__) is not network:
            raise ValueError(
                f'{network.__name__} is not registered, and could not be found again; decorate it with '
                '@mmgcvit.registry.MODELS.register_module()'
            )
        arguments = self.constructor_arguments()
        with torch.device('meta'):
            built = network(**arguments).state_dict()
        if shapes_of(built) != shapes_of(tensors):
            raise ValueError(
                f'the {network.__name__} has other tensors than one built with its arguments, as parts were changed '
                'after it was built; make a subclass that names them (stem_type, stage_type, ...), and register it'
            )
        write_folder(Path(folder).expanduser(), FolderConfig(network.__name__, arguments), tensors, overwrite)

    def constructor_arguments(self) -> dict[str, Any]:
        """What the backbone was built with, defaults included, without ``init_cfg``, as plain JSON values.

        Raises:
            TypeError: The constructor was called with something that JSON does not have.
        """
        args, kwargs = self.called_with
        signature = inspect.signature(type(self).__init__)
        call = signature.bind(self, *args, **kwargs)
        call.apply_defaults()
        arguments = {}
        for name, value in list(call.arguments.items())[1:]:
            arguments |= value if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD else {name: value}
        return {name: plain(value, name) for name, value in arguments.items() if name != 'init_cfg'}

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says.

        ``dict(type='Pretrained', checkpoint=SOURCE)`` takes a file, an http(s) address or ``timm://NAME`` in any
        layout in which checkpoints of the network exist, recognised by content, and runs no code from it. Two more
        keys: ``prefix`` where a file holds several networks, ``ema=True`` for the moving average where a file has one
        beside the weights.

        Raises:
            CheckpointError: The weights did not load, all of them; see :func:`load_pretrained`.
        """
        configs = [self.init_cfg] if isinstance(self.init_cfg, Mapping) else self.init_cfg or []
        pretrained = [config for config in configs if config['type'] in ('Pretrained', PretrainedInit)]
        initialize(self, [config for config in configs if config not in pretrained])
        for config in pretrained:
            # map_location, which mmengine knows, has nothing to decide: weights are read on the CPU and copied.
            options = {key: value for key, value in config.items() if key not in ('type', 'map_location')}
            load_pretrained(self, self.describe_arch, **options)
        self._is_init = True

    @classmethod
    def name_of_arch(cls, checkpoint: str, prefix: str | None, ema: bool) -> str:
        """The published variant that a checkpoint's weights belong to.

        Raises:
            CheckpointError: It cannot be read, or is another network's, or of no published variant.
        """
        weights = read_weights(checkpoint, prefix, ema)
        if weights.layout.network not in [base.__name__ for base in cls.__mro__]:
            raise CheckpointError(f'{checkpoint} holds {weights.layout.network} weights; the model is {cls.__name__}')
        try:
            found = cls.describe_weights(weights.tensors)
        # Of tensors with fewer dimensions or none in them.
        except (ValueError, IndexError, ZeroDivisionError) as error:
            raise CheckpointError(f'{checkpoint} is no whole {cls.__name__}: {error}') from None
        if found.strip("'") not in cls.archs:
            raise CheckpointError(f'{checkpoint} holds weights of {cls.__name__} {found}; say which by arch=...')
        return found.strip("'")

    @classmethod
    def describe_weights(cls, tensors: Mapping[str, Tensor], num_stages: int | None = None) -> str:
        """The variant that weights belong to, by their shapes: its name, or what it is made of.

        Args:
            tensors: Weights by their names here.
            num_stages: How many stages to look at, all by default. Variants that differ only later are named together.
        """
        read = cls.arch_type.seen_in
        seen = read(tensors, num_stages)
        names = [name for name in cls.archs if read(published_tensors(cls, name), num_stages) == seen]
        return ' or '.join(map(repr, names)) or cls.arch_type.in_words(seen)

    def describe_arch(self, tensors: Mapping[str, Tensor]) -> str:
        """The variant that weights belong to, as far as the built stages go."""
        return self.describe_weights(tensors, self.num_stages)


@functools.cache
def published_tensors(network: type[PretrainedBackbone], name: str) -> dict[str, Tensor]:
    """Names and shapes of the weights of a published variant."""
    with torch.device('meta'):
        return network(arch=name).state_dict()


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """Names and shapes of tensors."""
    return {name: tensor.shape for name, tensor in tensors.items()}


def snapshot(value: Any) -> Any:
    """A value as it is now: copies of dicts and lists, which a caller may change later."""
    if isinstance(value, Mapping):
        return {key: snapshot(item) for key, item in value.items()}
    return [snapshot(item) for item in value] if isinstance(value, list | tuple) else value
