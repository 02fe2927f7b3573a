"""Look for a config's data before anything is built, and say how to get what is missing."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mmengine.config import Config, ConfigDict

COCO = """COCO 2017 belongs there: unpack train2017.zip, val2017.zip and annotations_trainval2017.zip from
cocodataset.org so that
    {root}/annotations/instances_train2017.json  {root}/train2017/  {root}/val2017/
exist; with OpenMIM installed, 'mim download mmdet --dataset coco2017' fetches them."""
DIGITS = "'python tools/make_digits.py data/digits' makes it in seconds."
ELSEWHERE = "If the data is elsewhere: 'ln -s /where/it/is {root}', or name it in the config (data_root)."


def check_data(cfg: Config, loaders: Sequence[str]) -> None:
    """Make sure that the data sets of these loaders are there.

    Args:
        cfg: A whole config.
        loaders: Names of data loaders in it, for example ``['train_dataloader', 'val_dataloader']``.

    Raises:
        SystemExit: Something is missing; the message names every missing path and how to get it.
    """
    datasets = [dataset for loader in loaders if cfg.get(loader) for dataset in leaf_datasets(cfg[loader].dataset)]
    missing = {path: dataset for dataset in datasets for path in local_paths(dataset) if not path.exists()}
    if missing:
        root = Path(next(iter(missing.values())).get('data_root') or '.')
        paths = '\n'.join(f'    {path}' for path in missing)
        raise SystemExit(f'The data set is not at {root}. Missing:\n{paths}\n{how_to_get(root)}')


def leaf_datasets(dataset: ConfigDict) -> Iterator[ConfigDict]:
    """The data sets inside wrappers such as RepeatDataset and ConcatDataset."""
    if 'dataset' in dataset:
        yield from leaf_datasets(dataset.dataset)
    elif 'datasets' in dataset:
        for inner in dataset.datasets:
            yield from leaf_datasets(inner)
    else:
        yield dataset


def local_paths(dataset: ConfigDict) -> Iterator[Path]:
    """The annotation file and image folders that a data set's config names, except what lies on a server."""
    root = dataset.get('data_root') or ''
    prefix = dataset.get('data_prefix') or {}
    prefixes = [prefix] if isinstance(prefix, str) else prefix.values()
    for part in (dataset.get('ann_file'), *prefixes):
        path = Path(root, part or '')
        if '://' not in f'{root}{part}':
            yield path


def how_to_get(root: Path) -> str:
    """How to fill a missing data folder."""
    if 'digits' in root.parts:
        return DIGITS
    advice = [COCO] if root.name == 'coco' else []
    return '\n'.join([*advice, ELSEWHERE]).format(root=root)
