"""Reject settings that have no effect before a run starts."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.utils.dl_utils import set_multi_processing

from ..errors import UserError, suggest
from ..host.config import LOADERS, get_type_name
from ..host.datasets import iter_transforms, iter_unwrapped_datasets
from ..host.tasks import CLASSIFICATION

# What mmengine's Runner.setup_env and models/speed_up.py read.
ENV_KEYS = ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit', 'linear_kernel')
# The argument of mmpretrain's cropping transforms that is the size of the crop
CROPS = {'RandomResizedCrop': 'scale', 'RandomCrop': 'crop_size', 'CenterCrop': 'crop_size'}


def check_settings(cfg: Config) -> None:
    """Raise a UserError for a key below ``env_cfg`` that nothing reads, and for an ``image_size``
    that a pipeline does not have.
    """
    environment = cfg.get('env_cfg') or {}
    check_keys('env_cfg', environment, ENV_KEYS)
    known = [*inspect.signature(set_multi_processing).parameters]
    check_keys('env_cfg.mp_cfg', environment.get('mp_cfg') or {}, known)
    check_image_size(cfg)


def check_image_size(cfg: Config) -> None:
    """Raise a UserError if a classifier's config has the variable ``image_size`` of the templates,
    and its data pipelines crop images to another size, as a pipeline pasted from ImageNet does.
    """
    size = cfg.get('image_size')
    if cfg.get('default_scope') != CLASSIFICATION.scope or not isinstance(size, int):
        return
    for loader in LOADERS:
        for dataset in iter_unwrapped_datasets((cfg.get(loader) or {}).get('dataset')):
            for step in iter_transforms(dataset):
                name = get_type_name(step)
                cropped = step.get(CROPS.get(name, ''), size)
                if cropped not in (size, (size, size), [size, size]):
                    raise UserError(
                        f'image_size = {size} has no effect in {loader}, whose {name} crops images '
                        f'to {cropped} px. Set {CROPS[name]}=image_size there, as '
                        'docs/templates.md shows, or remove image_size'
                    )


def check_keys(place: str, settings: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise a UserError if a dict of the config has another key than the known ones."""
    if not isinstance(settings, Mapping):
        raise UserError(f'{place}={settings!r:.80}: expected a dict of {", ".join(known)}')
    for key in settings:
        if key not in known:
            raise UserError(
                f'{place}.{key}: nothing reads it{suggest(key, known) or "."} There are '
                f'{", ".join(known)}'
            )
