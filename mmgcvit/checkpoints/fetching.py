"""Download ahead the checkpoints that a config names."""

from typing import Any

from mmengine.config import Config
from mmengine.model import PretrainedInit
from mmengine.runner import CheckpointLoader

from ..config import dicts_in
from ..errors import CheckpointError, first_line
from ..files import ADDRESSES
from .reading import TIMM_SCHEME, local_file, read_timm


def named_checkpoints(cfg: Config) -> list[str]:
    """The checkpoints of every ``init_cfg`` of type ``Pretrained``, at any depth, and of ``load_from``; each once."""
    pretrained = [entry for entry in dicts_in(cfg.to_dict()) if entry.get('type') in ('Pretrained', PretrainedInit)]
    sources = [cfg.get('load_from'), *(entry.get('checkpoint') for entry in pretrained)]
    return list(dict.fromkeys(source for source in sources if isinstance(source, str) and source))


def fetch(source: str) -> Any:
    """Download a checkpoint unless it is there; the file, or whose cache has it.

    Raises:
        CheckpointError: It could not be downloaded, or there is no such file.
    """
    if source.startswith(TIMM_SCHEME):
        read_timm(source.removeprefix(TIMM_SCHEME))
        return "in huggingface_hub's cache"
    if source.startswith(ADDRESSES) or '://' not in source:
        return local_file(source)
    try:
        # The model zoos of torchvision and OpenMMLab, for example torchvision://resnet50.
        CheckpointLoader.load_checkpoint(source, map_location='cpu')
    except Exception as error:  # The network, the server, the disk, or an unknown name.
        raise CheckpointError(f'{source} could not be downloaded ({first_line(error)})') from None
    return "in torch's cache"
