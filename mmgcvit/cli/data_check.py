"""Look at a config's data before anything is built, and say how to get or mend it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmengine.config import Config, ConfigDict

COCO = """COCO 2017 belongs there: unpack train2017.zip, val2017.zip and annotations_trainval2017.zip from
cocodataset.org so that
    {root}/annotations/instances_train2017.json  {root}/train2017/  {root}/val2017/
exist."""
ADE20K = """ADE20K belongs there: unpack ADEChallengeData2016.zip of MIT's scene parsing benchmark
(sceneparsing.csail.mit.edu) so that
    {root}/images/training/  {root}/images/validation/
    {root}/annotations/training/  {root}/annotations/validation/
exist."""
IMAGENET = """ImageNet-1K belongs there: from image-net.org, so that {root}/train/ and {root}/val/ have a folder for
each of the 1000 classes (n01440764, ...) with its images."""
IMAGENET_V2 = """ImageNetV2 belongs there, unpacked as its authors publish it: folders 0 to 999 with ten images each."""
CIFAR = """{name} belongs there: unpack cifar-{classes}-python.tar.gz from www.cs.toronto.edu/~kriz/cifar.html so that
    {{root}}/{folder}/
exists. Or have it downloaded:
    --cfg-options train_dataloader.dataset.download=True val_dataloader.dataset.download=True
        test_dataloader.dataset.download=True"""
DIGITS = "'python tools/make_digits.py {root}' makes it in seconds."
ELSEWHERE = "If the data is elsewhere: 'ln -s /where/it/is {root}', or name it in the config (data_root)."
# The folder that a data set lives in by this project's configs, and what belongs there.
ADVICE = {
    'coco': COCO,
    'ADEChallengeData2016': ADE20K,
    'imagenet': IMAGENET,
    'imagenetv2': IMAGENET_V2,
    'cifar10': CIFAR.format(name='CIFAR-10', classes=10, folder='cifar-10-batches-py'),
    'cifar100': CIFAR.format(name='CIFAR-100', classes=100, folder='cifar-100-python'),
}

# Data sets that mmpretrain can download by itself, and the folder in which it keeps those that configs here name.
DOWNLOADABLE = {
    'CIFAR10': 'cifar-10-batches-py',
    'CIFAR100': 'cifar-100-python',
    'MNIST': '',
    'FashionMNIST': '',
}


def check_data(cfg: Config, loaders: Sequence[str]) -> None:
    """Make sure that the data sets of these loaders are there.

    Args:
        cfg: A whole config.
        loaders: Names of data loaders in it, for example ``['train_dataloader', 'val_dataloader']``.

    Raises:
        SystemExit: Something is missing; the message names every missing path and how to get it. Or a data set in
            COCO's format has not the classes that the config names: hosts then drop its objects without a word.
    """
    datasets = [dataset for name in loaders for dataset in leaf_datasets((cfg.get(name) or {}).get('dataset'))]
    missing = {path: dataset for dataset in datasets for path in local_paths(dataset) if not path.exists()}
    if missing:
        root = Path(next(iter(missing.values())).get('data_root') or '.').absolute()
        paths = '\n'.join(f'    {path}' for path in missing)
        raise SystemExit(f'The data set is not at {root}. Missing:\n{paths}\n{how_to_get(root)}')
    for dataset in datasets:
        check_classes(dataset)


def check_classes(dataset: ConfigDict) -> None:
    """Compare the classes that a config names itself with the categories of the COCO file; see :func:`check_data`.

    Sets of one's own have their masks looked for too, where the config loads them.
    """
    classes = (dataset.get('metainfo') or {}).get('classes')
    if not classes or not str(dataset.get('type')).endswith('CocoDataset'):
        return
    path = Path(dataset.get('data_root') or '', dataset.ann_file)
    if not path.is_file():
        return
    content = json.loads(path.read_text())
    missing = [key for key in ('images', 'annotations', 'categories') if key not in content]
    if missing:
        raise SystemExit(f"{path} is no annotation file in COCO's format: it has no {', '.join(missing)}")
    without_mask = sum(not annotation.get('segmentation') for annotation in content['annotations'])
    if without_mask and any(step.get('with_mask') for step in dataset.get('pipeline') or []):
        raise SystemExit(
            f'{path}: {without_mask} of {len(content["annotations"])} annotations have no mask (segmentation), which '
            'the config loads. With boxes only, start from configs/custom_coco_boxonly.py'
        )
    categories = [category['name'] for category in content['categories']]
    unknown = [name for name in classes if name not in categories]
    if unknown:
        raise SystemExit(
            f'{path} has no category {", ".join(map(repr, unknown))}, which the config names under metainfo.classes. '
            f'It has: {", ".join(map(repr, categories))}. Both must be spelled alike'
        )


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
    root = dataset.get('data_root') or ''
    kind = str(dataset.get('type')).split('.')[-1]
    if kind in DOWNLOADABLE:
        if not dataset.get('download', True):
            yield Path(root, DOWNLOADABLE[kind])
        return
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
