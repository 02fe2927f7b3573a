"""Check that the files that a config names are there, and say how to get them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmengine.config import Config, ConfigDict

from ...errors import UserError
from .sources import leaf_datasets, steps_of, type_name

ELSEWHERE = (
    "docs/data.md says how to get it. If it is elsewhere: 'ln -s /where/it/is {root}', or name it in the config "
    '(data_root).'
)


def check_presence(cfg: Config, loaders: Sequence[str]) -> None:
    """Raise a UserError with every path that a config names and that is missing, and how to get it."""
    datasets = [dataset for name in loaders for dataset in leaf_datasets((cfg.get(name) or {}).get('dataset'))]
    missing = {path: dataset for dataset in datasets for path in local_paths(dataset) if not path.exists()}
    if missing:
        root = Path(next(iter(missing.values())).get('data_root') or '.').absolute()
        paths = '\n'.join(f'    {path}' for path in missing)
        digits = next((folder for folder in (root, *root.parents) if folder.name == 'digits'), None)
        advice = f"'mmgcvit digits {digits}' makes it in seconds." if digits else ELSEWHERE.format(root=root)
        raise UserError(f'The data set is not at {root}. Missing:\n{paths}\n{advice}')


def local_paths(dataset: ConfigDict) -> Iterator[Path]:
    """The annotation file and image folders that a data set's config names, except those on a server."""
    root = dataset.get('data_root') or ''
    if type_name(dataset).startswith('CIFAR') and dataset.get('download', True):
        return
    named = [dataset.get(key) for key in ('ann_file', 'data_prefix', 'split')]
    # Configs for objects inherit data_prefix.seg, which only these transforms of mmdet read.
    reads_maps = any(step.get('with_seg', 'Panoptic' in type_name(step)) for step in steps_of(dataset))
    if isinstance(named[1], Mapping) and not reads_maps:
        named[1] = {name: prefix for name, prefix in named[1].items() if name != 'seg'}
    lists = [[value] if isinstance(value, str) else value for value in named if value]
    parts = [part for value in lists for part in (value.values() if isinstance(value, Mapping) else value)]
    for part in parts or [''] * bool(root):
        if '://' not in f'{root}{part}':
            yield Path(root, part)
