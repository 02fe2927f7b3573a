"""Find the data sets that a config names, their formats and missing files."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from ...config import iter_dicts
from ...errors import UserError

# The classes whose data are checked, those derived from them included, and the formats that they read; and classes
# derived from them that read files of another format.
FORMATS = {'BaseSegDataset': 'ade20k', 'CustomDataset': 'imagenet', 'CocoDataset': 'coco'}
OTHER_FORMATS = {'CocoPanopticDataset', 'LVISV05Dataset'}
TRAINING = 'train_dataloader'
# How many random images of each data set are opened before a run, and how many different ones may be unreadable while
# a data worker trains.
SETTINGS = {'images': 100, 'unreadable_images': 20}


def get_check_settings(cfg: Config) -> dict[str, int]:
    """:data:`SETTINGS`, or those of a config's ``data_checks``."""
    given = dict(cfg.get('data_checks') or {})
    wrong = {name: n for name, n in given.items() if name not in SETTINGS or type(n) is not int or n < 0}
    if wrong:
        raise UserError(f'data_checks={wrong}: expected whole numbers of at least 0 for {" and ".join(SETTINGS)}')
    return SETTINGS | given


def iter_leaf_datasets(dataset: ConfigDict | None) -> Iterator[ConfigDict]:
    """The data sets inside wrappers such as RepeatDataset, ConcatDataset and MultiImageMixDataset."""
    if not dataset:
        return
    inner = [dataset.dataset] if 'dataset' in dataset else dataset.get('datasets')
    if inner is None:
        yield dataset
    for each in inner or ():
        yield from iter_leaf_datasets(each)


def iter_datasets(cfg: Config, loaders: Sequence[str]) -> Iterator[tuple[ConfigDict, str | None, bool]]:
    """The innermost data sets of some loaders, each once: settings, format if it is checked, and whether scored."""
    seen = []
    for name in loaders:
        for settings in iter_leaf_datasets((cfg.get(name) or {}).get('dataset')):
            if (settings, name != TRAINING) not in seen:
                seen.append((settings, name != TRAINING))
                yield settings, None if is_remote(settings) else find_format(settings), name != TRAINING


def get_type_name(cfg: Mapping[str, Any] | None) -> str:
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
    return bool(dataset.get('backend_args')) or any('://' in str(value) for value in named)


def iter_steps(dataset: ConfigDict) -> Iterator[dict[str, Any]]:
    """All transforms in a data set's pipeline, those inside others too: the dicts with a ``type``."""
    return (step for step in iter_dicts(dataset.get('pipeline')) if 'type' in step)


def place_of(dataset: BaseDataset) -> str:
    """The annotation file of a data set, or the folder of its images, for messages."""
    prefix = dataset.data_prefix
    return dataset.ann_file or prefix.get('img_path') or prefix.get('img') or dataset.data_root


def check_presence(cfg: Config, loaders: Sequence[str]) -> None:
    """Raise a UserError with every path that a config names and that is missing, and how to get it."""
    datasets = [dataset for name in loaders for dataset in iter_leaf_datasets((cfg.get(name) or {}).get('dataset'))]
    missing = {path: dataset for dataset in datasets for path in list_local_paths(dataset) if not path.exists()}
    if missing:
        root = Path(next(iter(missing.values())).get('data_root') or '.').absolute()
        paths = '\n'.join(f'    {path}' for path in missing)
        digits = next((folder for folder in (root, *root.parents) if folder.name == 'digits'), None)
        advice = f"docs/data.md says how to get it. If it is elsewhere: 'ln -s /where/it/is {root}'."
        advice = f"'mmgcvit digits {digits}' makes it in seconds." if digits else advice
        raise UserError(f'The data set is not at {root}. Missing:\n{paths}\n{advice}')


def list_local_paths(dataset: ConfigDict) -> Iterator[Path]:
    """The annotation file and image folders that a data set's config names, except those on a server."""
    root = dataset.get('data_root') or ''
    if get_type_name(dataset).startswith('CIFAR') and dataset.get('download', True):
        return
    prefix = dataset.get('data_prefix')
    # Configs for objects inherit data_prefix.seg, which only these transforms of mmdet read.
    reads_maps = any(step.get('with_seg', 'Panoptic' in get_type_name(step)) for step in iter_steps(dataset))
    if isinstance(prefix, Mapping):
        prefix = [path for name, path in prefix.items() if name != 'seg' or reads_maps]
    named = [dataset.get('ann_file'), prefix, dataset.get('split')]
    parts = [part for value in named if value for part in ([value] if isinstance(value, str) else value)]
    for part in parts or [''] * bool(root):
        if '://' not in f'{root}{part}':
            yield Path(root, part)
