"""Look for a config's data before anything is built, and say how to get what is missing."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmengine.config import Config, ConfigDict

COCO = """COCO 2017 belongs there: unpack train2017.zip, val2017.zip and annotations_trainval2017.zip from
cocodataset.org so that
    {root}/annotations/instances_train2017.json  {root}/train2017/  {root}/val2017/
exist."""
IMAGENET = """ImageNet-1K belongs there: from image-net.org, so that {root}/train/ and {root}/val/ have a folder for
each of the 1000 classes (n01440764, ...) with its images."""
IMAGENET_V2 = """ImageNetV2 belongs there, unpacked as its authors publish it: folders 0 to 999 with ten images each."""
DIGITS = "'python tools/make_digits.py {root}' makes it in seconds."
ELSEWHERE = "If the data is elsewhere: 'ln -s /where/it/is {root}', or name it in the config (data_root)."
# The folder that a data set lives in by this project's configs, and what belongs there.
ADVICE = {'coco': COCO, 'imagenet': IMAGENET, 'imagenetv2': IMAGENET_V2}

DOWNLOAD_THEMSELVES = ('CIFAR10', 'CIFAR100', 'MNIST', 'FashionMNIST')


def check_data(cfg: Config, loaders: Sequence[str]) -> None:
    """Make sure that the data sets of these loaders are there.

    Args:
        cfg: A whole config.
        loaders: Names of data loaders in it, for example ``['train_dataloader', 'val_dataloader']``.

    Raises:
        SystemExit: Something is missing; the message names every missing path and how to get it.
    """
    datasets = [dataset for name in loaders for dataset in leaf_datasets((cfg.get(name) or {}).get('dataset'))]
    missing = {path: dataset for dataset in datasets for path in local_paths(dataset) if not path.exists()}
    if missing:
        root = Path(next(iter(missing.values())).get('data_root') or '.').absolute()
        paths = '\n'.join(f'    {path}' for path in missing)
        raise SystemExit(f'The data set is not at {root}. Missing:\n{paths}\n{how_to_get(root)}')


def leaf_datasets(dataset: ConfigDict | None) -> Iterator[ConfigDict]:
    """The data sets inside wrappers such as RepeatDataset and ConcatDataset."""
    if not dataset:
        return
    if 'dataset' in dataset:
        yield from leaf_datasets(dataset.dataset)
    elif 'datasets' in dataset:
        for inner in dataset.datasets:
            yield from leaf_datasets(inner)
    else:
        yield dataset


def local_paths(dataset: ConfigDict) -> Iterator[Path]:
    """The annotation file and image folders that a data set's config names, except what lies on a server."""
    if str(dataset.get('type')).split('.')[-1] in DOWNLOAD_THEMSELVES:
        return
    root = dataset.get('data_root') or ''
    named = [dataset.get(key) for key in ('ann_file', 'data_prefix', 'split')]
    parts = [part for value in named if value for part in strings_of(value)]
    for part in parts or [''] * bool(root):
        if '://' not in f'{root}{part}':
            yield Path(root, part)


def strings_of(value: str | Sequence | Mapping) -> list[str]:
    """One name, or several of a list or of a dict's values."""
    if isinstance(value, str):
        return [value]
    return list(value.values() if isinstance(value, Mapping) else value)


def how_to_get(root: Path) -> str:
    """How to fill a missing data folder."""
    folders = {folder.name: folder for folder in (*root.parents, root)}
    if 'digits' in folders:
        return DIGITS.format(root=folders['digits'])
    advice = [text for name, text in ADVICE.items() if name in folders]
    return '\n'.join([*advice, ELSEWHERE]).format(root=root)
