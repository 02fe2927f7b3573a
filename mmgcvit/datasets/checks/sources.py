"""What a config says of its data: which data sets it names, how they are loaded, and how closely they are looked at."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from ...config import dicts_in
from ...errors import UserError

# The hosts' classes that a data set's class derives from, and the kind of data that it then reads.
KINDS = {
    'CocoPanopticDataset': 'panoptic',
    'CocoDataset': 'coco',
    'BaseSegDataset': 'ade20k',
    'CustomDataset': 'imagenet',
    'CIFAR10': 'cifar',
    'DOTADataset': 'dota',
}
# Classes that derive from those and read files of another format.
OTHER_LAYOUTS = ('LVISV05Dataset',)
LOOKED_INTO = ('coco', 'ade20k', 'imagenet')
TRAINING = 'train_dataloader'
# So many images of each data set, chosen by chance, are opened before a run; so many different ones may turn out to be
# unreadable while a process trains, and one more stops the run.
SETTINGS = {'images': 100, 'damaged_images': 20}


def settings_of(cfg: Config) -> dict[str, int]:
    """:data:`SETTINGS`, those that a config names under ``data_checks`` as it has them."""
    given = dict(cfg.get('data_checks') or {})
    wrong = {name: n for name, n in given.items() if name not in SETTINGS or type(n) is not int or n < 0}
    if wrong:
        raise UserError(f'data_checks={wrong}: expected whole numbers of at least 0 for {" and ".join(SETTINGS)}')
    return SETTINGS | given


def leaf_datasets(dataset: ConfigDict | None) -> Iterator[ConfigDict]:
    """The data sets inside wrappers such as RepeatDataset, ConcatDataset and MultiImageMixDataset."""
    if not dataset:
        return
    if 'dataset' in dataset:
        yield from leaf_datasets(dataset.dataset)
    elif 'datasets' in dataset:
        for inner in dataset.datasets:
            yield from leaf_datasets(inner)
    else:
        yield dataset


def datasets_of(cfg: Config, loaders: Sequence[str]) -> Iterator[tuple[ConfigDict, str | None, bool]]:
    """The innermost data sets of some loaders, each once: settings, kind if it is looked into, and whether scored."""
    seen = []
    for name in loaders:
        for settings in leaf_datasets((cfg.get(name) or {}).get('dataset')):
            if (settings, name != TRAINING) not in seen:
                seen.append((settings, name != TRAINING))
                is_looked_into = kind_of(settings) in LOOKED_INTO and not is_remote(settings)
                yield settings, kind_of(settings) if is_looked_into else None, name != TRAINING


def type_name(cfg: Mapping[str, Any] | None) -> str:
    """A config's ``type`` without scope and module: ``'GCViT'`` of ``'mmgcvit.GCViT'`` or of the class itself."""
    kind = (cfg or {}).get('type', '')
    return getattr(kind, '__name__', str(kind)).split('.')[-1]


def class_of(dataset: ConfigDict) -> type:
    """The class that a data set's ``type`` stands for."""
    if isinstance(dataset.type, type):
        return dataset.type
    with DATASETS.switch_scope_and_registry(None) as registry:
        found = registry.get(dataset.type)
    if found is None:
        raise UserError(f'there is no data set {dataset.type!r}; is it in custom_imports?')
    return found


def kind_of(dataset: ConfigDict) -> str | None:
    """The kind of data that a data set reads, of :data:`KINDS`; None for others."""
    bases = [base.__name__ for base in inspect.getmro(class_of(dataset))]
    if set(bases) & set(OTHER_LAYOUTS):
        return None
    return next((KINDS[name] for name in bases if name in KINDS), None)


def is_remote(dataset: ConfigDict) -> bool:
    """Whether a data set's files are on a server."""
    named = [dataset.get(key) for key in ('data_root', 'ann_file', 'data_prefix')]
    has_client = any(dataset.get(key) for key in ('backend_args', 'file_client_args'))
    return has_client or any('://' in str(value) for value in named)


def steps_of(dataset: ConfigDict) -> Iterator[dict[str, Any]]:
    """All transforms in a data set's pipeline, those inside others too: the dicts with a ``type``."""
    return (step for step in dicts_in(dataset.get('pipeline')) if 'type' in step)


def built(dataset: ConfigDict) -> BaseDataset:
    """A data set as training has it, its paths joined and its classes known, without data and pipeline."""
    return DATASETS.build({**dataset, 'pipeline': [], 'lazy_init': True})


def place_of(dataset: BaseDataset) -> str:
    """What complaints about a data set name: its annotation file, or the folder of its images."""
    prefix = dataset.data_prefix
    return dataset.ann_file or prefix.get('img_path') or prefix.get('img') or dataset.data_root
