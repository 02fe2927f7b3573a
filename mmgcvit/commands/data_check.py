"""Look at a config's data before anything is built, and say how to get or mend it."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmengine.config import Config, ConfigDict
from rich.progress import Progress

from ..datasets.checks import Outcome, check_datasets, leaf_datasets, settings_of
from ..engine.processes import RANK_VARIABLES
from ..errors import UserError
from ..hosts.configs import enter_scope

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
DIGITS = "'mmgcvit digits {root}' makes it in seconds."
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
    """Make sure that the data sets of these loaders are there and can be used.

    On each node the first process looks into them: at annotations as a whole, at some images, chosen by chance.

    Args:
        cfg: A whole config.
        loaders: Names of data loaders in it, for example ``['train_dataloader', 'val_dataloader']``.

    Raises:
        UserError: Something is missing; the message names every missing path and how to get it. Or something would
            stop the run later, or make its results wrong; the message has a sentence for each, with the file's name.
    """
    check_presence(cfg, loaders)
    settings = settings_of(cfg)
    if not is_first_of_node(cfg):
        return
    enter_scope(cfg)
    report = check_datasets(cfg, loaders, settings.images, Progress(disable=True))
    refusals = report.sentences(Outcome.STOPS)
    if refusals:
        raise UserError('\n'.join([*refusals, "'mmgcvit check-data CONFIG' looks at all images"]))
    for words in report.sentences(Outcome.LEFT_OUT) + report.sentences(Outcome.REPAIRED) + report.notes:
        sys.stderr.write(f'data: {words}\n')
    sys.stderr.flush()


def check_presence(cfg: Config, loaders: Sequence[str]) -> None:
    """Make sure that what configs name is there; see :func:`check_data`."""
    datasets = [dataset for name in loaders for dataset in leaf_datasets((cfg.get(name) or {}).get('dataset'))]
    missing = {path: dataset for dataset in datasets for path in local_paths(dataset) if not path.exists()}
    if missing:
        root = Path(next(iter(missing.values())).get('data_root') or '.').absolute()
        paths = '\n'.join(f'    {path}' for path in missing)
        raise UserError(f'The data set is not at {root}. Missing:\n{paths}\n{how_to_get(root)}')


def is_first_of_node(cfg: Config) -> bool:
    """Whether this is the first process of its node, or the only one."""
    variables = RANK_VARIABLES.get(cfg.get('launcher'), {})
    return os.environ.get(variables.get('LOCAL_RANK', ''), '0') == '0'


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
