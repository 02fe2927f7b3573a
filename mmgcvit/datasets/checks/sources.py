"""Find the formats of a config's datasets, and files that are missing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset

from ...errors import UserError
from ...host.config import get_type_name
from ...host.datasets import get_dataset_class, is_remote, iter_datasets, iter_transforms

# How dataset classes, and their subclasses, are checked: as images with maps, as images with
# labels, or as a COCO file; None: they are not.
CHECKED_CLASSES = {
    'BaseSegDataset': 'maps',
    'CustomDataset': 'labels',
    'CocoDataset': 'coco',
    'CocoPanopticDataset': None,
    'LVISV05Dataset': None,
}
# Defaults of data_checks: how many images of each dataset are opened before a run, how many
# unreadable ones each dataloader worker may skip, and whether (1) or not (0) a line says that
# classes should not be mirrored.
DEFAULTS = {'images': 100, 'unreadable_images': 20, 'mirroring': 1}


def get_check_settings(cfg: Config) -> dict[str, int]:
    """Return a config's ``data_checks``, with :data:`DEFAULTS` for keys that are missing."""
    settings = dict(cfg.get('data_checks') or {})
    for name, value in settings.items():
        if name not in DEFAULTS or type(value) is not int or value < 0:
            raise UserError(
                f'data_checks.{name}={value!r}: expected {" or ".join(DEFAULTS)}, an integer of at '
                'least 0'
            )
    return DEFAULTS | settings


def find_format(dataset: ConfigDict) -> str | None:
    """Return the format of a dataset by :data:`CHECKED_CLASSES`, or None if it is on a server or
    not checked.
    """
    if is_remote(dataset):
        return None
    dataset_class = get_dataset_class(dataset)
    if dataset_class is None:
        raise UserError(
            f'there is no dataset class {dataset.type!r}. Check it, or add its module to '
            'custom_imports'
        )
    for base in dataset_class.__mro__:  # a class comes before those that it inherits from
        if base.__name__ in CHECKED_CLASSES:
            return CHECKED_CLASSES[base.__name__]
    return None


def get_data_path(dataset: BaseDataset) -> str:
    """Return the path by which messages name a dataset: its annotation file, or its image folder if
    it has none.
    """
    prefix = dataset.data_prefix
    return dataset.ann_file or prefix.get('img_path') or prefix.get('img') or dataset.data_root


def check_presence(cfg: Config, loaders: Sequence[str]) -> None:
    """Raise a UserError that lists the missing files and folders of a config and says how to get
    them.
    """
    root_of = {}  # the data_root of each missing path
    for _, dataset in iter_datasets(cfg, loaders):
        for path in list_local_paths(dataset):
            if not path.exists():
                root_of[path] = Path(dataset.get('data_root') or '.').absolute()
    if root_of:
        root = next(iter(root_of.values()))
        paths = '\n'.join(f'    {path}' for path in root_of)
        raise UserError(
            f'The dataset is not at {root}. Missing:\n{paths}\ndocs/data.md says how to get it. If '
            f'it is in another folder: ln -s /path/to/that/folder {root}'
        )


def list_local_paths(dataset: ConfigDict) -> list[Path]:
    """Return the annotation files and image folders in a dataset's config, except those on a
    server.
    """
    root = dataset.get('data_root') or ''
    prefix = dataset.get('data_prefix')
    if get_type_name(dataset).startswith('CIFAR') and dataset.get('download', True):
        return []
    # A config may inherit data_prefix.seg without using it. Only mmdet's transforms for
    # segmentation maps read it.
    reads_maps = any(
        step.get('with_seg', 'Panoptic' in get_type_name(step)) for step in iter_transforms(dataset)
    )
    if isinstance(prefix, Mapping):
        prefix = [path for name, path in prefix.items() if name != 'seg' or reads_maps]
    names: list[str] = []
    for value in (dataset.get('ann_file'), prefix, dataset.get('split')):
        if isinstance(value, str):
            value = [value]
        names += value or []
    paths = [name for name in names if name]
    if root and not paths:
        paths = ['']
    return [Path(root, path) for path in paths if '://' not in f'{root}{path}']
