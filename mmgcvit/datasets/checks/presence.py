"""Whether what a config names as its data is there, and how to get it where it is not."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmengine.config import Config, ConfigDict

from ...errors import UserError
from .sources import leaf_datasets, steps_of, type_name

# The folder that a data set lives in by this project's configs, and what belongs there.
ADVICE = {
    'coco': 'COCO 2017 of cocodataset.org belongs there: annotations/, train2017/, val2017/.',
    'ADEChallengeData2016': "ADEChallengeData2016.zip of MIT's scene parsing benchmark belongs there, unpacked.",
    'cityscapes': """leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of cityscapes-dataset.com belong there,
and the label files of 19 classes that cityscapesScripts' csCreateTrainIdLabelImgs makes.""",
    'imagenet': 'ImageNet-1K of image-net.org belongs there: in train/ and val/ a folder for each class.',
    'imagenetv2': 'ImageNetV2 belongs there, as its authors publish it: folders 0 to 999 with ten images each.',
    'cifar10': 'cifar-10-python.tar.gz of www.cs.toronto.edu/~kriz/cifar.html belongs there, unpacked.',
    'cifar100': 'cifar-100-python.tar.gz of www.cs.toronto.edu/~kriz/cifar.html belongs there, unpacked.',
}
ELSEWHERE = (
    "docs/data.md has the commands. If the data is elsewhere: 'ln -s /where/it/is {root}', or name it in the config "
    '(data_root).'
)
# Data sets that mmpretrain can download by itself, and the folder in which it keeps those that configs here name.
DOWNLOADABLE = {'CIFAR10': 'cifar-10-batches-py', 'CIFAR100': 'cifar-100-python', 'MNIST': '', 'FashionMNIST': ''}


def check_presence(cfg: Config, loaders: Sequence[str]) -> None:
    """Make sure that what a config names is there; the message has every missing path, and how to get it."""
    datasets = [dataset for name in loaders for dataset in leaf_datasets((cfg.get(name) or {}).get('dataset'))]
    missing = {path: dataset for dataset in datasets for path in local_paths(dataset) if not path.exists()}
    if missing:
        root = Path(next(iter(missing.values())).get('data_root') or '.').absolute()
        paths = '\n'.join(f'    {path}' for path in missing)
        raise UserError(f'The data set is not at {root}. Missing:\n{paths}\n{how_to_get(root)}')


def local_paths(dataset: ConfigDict) -> Iterator[Path]:
    """The annotation file and image folders that a data set's config names, except what lies on a server."""
    root = dataset.get('data_root') or ''
    kind = str(dataset.get('type')).split('.')[-1]
    if kind in DOWNLOADABLE:
        if not dataset.get('download', True):
            yield Path(root, DOWNLOADABLE[kind])
        return
    named = [dataset.get(key) for key in ('ann_file', 'data_prefix', 'split')]
    # Configs for objects inherit data_prefix.seg unread: these steps of mmdet's read what is there.
    read = any(step.get('with_seg', 'Panoptic' in type_name(step)) for step in steps_of(dataset))
    if isinstance(named[1], Mapping) and not read:
        named[1] = {name: prefix for name, prefix in named[1].items() if name != 'seg'}
    lists = [[value] if isinstance(value, str) else value for value in named if value]
    parts = [part for value in lists for part in (value.values() if isinstance(value, Mapping) else value)]
    for part in parts or [''] * bool(root):
        if '://' not in f'{root}{part}':
            yield Path(root, part)


def how_to_get(root: Path) -> str:
    """How to fill a missing data folder."""
    folders = {folder.name: folder for folder in (*root.parents, root)}
    if 'digits' in folders:
        return f"'mmgcvit digits {folders['digits']}' makes it in seconds."
    advice = [text for name, text in ADVICE.items() if name in folders]
    return '\n'.join([*advice, ELSEWHERE.format(root=root)])
