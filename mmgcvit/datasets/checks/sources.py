"""What a config says about its data: which data sets it names, and how they are checked."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from ...config import dicts_in
from ...errors import UserError

# The classes whose data are checked, those derived from them included, and the formats that they read; and classes
# derived from them that read files of another format.
FORMATS = {'BaseSegDataset': 'ade20k', 'CustomDataset': 'imagenet', 'CocoDataset': 'coco'}
OTHER_FORMATS = {'CocoPanopticDataset', 'LVISV05Dataset'}
TRAINING = 'train_dataloader'
# How many random images of each data set are opened before a run, and how many different ones may be unreadable while
# a data worker trains.
SETTINGS = {'images': 100, 'damaged_images': 20}


def settings_of(cfg: Config) -> dict[str, int]:
    """:data:`SETTINGS`, or those of a config's ``data_checks``."""
    given = dict(cfg.get('data_checks') or {})
    wrong = {name: n for name, n in given.items() if name not in SETTINGS or type(n) is not int or n < 0}
    if wrong:
        raise UserError(f'data_checks={wrong}: expected whole numbers of at least 0 for {" and ".join(SETTINGS)}')
    return SETTINGS | given


def leaf_datasets(dataset: ConfigDict | None) -> Iterator[ConfigDict]:
    """The data sets inside wrappers such as RepeatDataset, ConcatDataset and MultiImageMixDataset."""
    if not dataset:
        return
    inner = [dataset.dataset] if 'dataset' in dataset else dataset.get('datasets')
    if inner is None:
        yield dataset
    for each in inner or ():
        yield from leaf_datasets(each)


def datasets_of(cfg: Config, loaders: Sequence[str]) -> Iterator[tuple[ConfigDict, str | None, bool]]:
    """The innermost data sets of some loaders, each once: settings, format if it is checked, and whether scored."""
    seen = []
    for name in loaders:
        for settings in leaf_datasets((cfg.get(name) or {}).get('dataset')):
            if (settings, name != TRAINING) not in seen:
                seen.append((settings, name != TRAINING))
                yield settings, None if is_remote(settings) else find_format(settings), name != TRAINING


def type_name(cfg: Mapping[str, Any] | None) -> str:
    """A config's ``type`` without scope and module: ``'GCViT'`` of ``'mmgcvit.GCViT'`` or of the class itself."""
    kind = (cfg or {}).get('type', '')
    return getattr(kind, '__name__', str(kind)).split('.')[-1]


def find_format(dataset: ConfigDict) -> str | None:
    """The format that a data set's class reads, one of :data:`FORMATS`; None for others."""
    found = dataset.type
    if isinstance(found, str):
        with DATASETS.switch_scope_and_registry(None) as registry:
            found = registry.get(found)
    if found is None:
        raise UserError(f'there is no data set {dataset.type!r}; is it in custom_imports?')
    bases = {base.__name__ for base in inspect.getmro(found)}
    return None if bases & OTHER_FORMATS else next((FORMATS[name] for name in FORMATS if name in bases), None)


def is_remote(dataset: ConfigDict) -> bool:
    """Whether a data set's files are on a server."""
    named = [dataset.get(key) for key in ('data_root', 'ann_file', 'data_prefix')]
    has_client = any(dataset.get(key) for key in ('backend_args', 'file_client_args'))
    return has_client or any('://' in str(value) for value in named)


def steps_of(dataset: ConfigDict) -> Iterator[dict[str, Any]]:
    """All transforms in a data set's pipeline, those inside others too: the dicts with a ``type``."""
    return (step for step in dicts_in(dataset.get('pipeline')) if 'type' in step)


def built(dataset: ConfigDict) -> BaseDataset:
    """Build a data set, its paths joined and its classes known, without data and pipeline."""
    return DATASETS.build({**dataset, 'pipeline': [], 'lazy_init': True})


def place_of(dataset: BaseDataset) -> str:
    """The annotation file of a data set, or the folder of its images, for messages."""
    prefix = dataset.data_prefix
    return dataset.ann_file or prefix.get('img_path') or prefix.get('img') or dataset.data_root
