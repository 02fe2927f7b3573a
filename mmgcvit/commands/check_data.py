"""Look at all data that a config names: mmgcvit check-data CONFIG [options].

Reads each annotation file, decodes every image, and shows what there is of each class and what is wrong, in tables.
Ends with code 1 where something would stop a run. Training and testing call :func:`check_data`, which looks at a few
images; other commands :func:`check_presence`.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmengine.config import Config, ConfigDict
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from ..datasets.checks import Contents, Outcome, Report, check_datasets, leaf_datasets, settings_of
from ..datasets.checks.contents import contact_sheet
from ..engine.processes import RANK_VARIABLES
from ..errors import UserError
from ..hosts.configs import enter_scope, read_config
from .options import CONFIG, add_cfg_options, check_at_least

PICTURES = ('.jpg', '.jpeg', '.png')
LOADERS = ['train_dataloader', 'val_dataloader', 'test_dataloader']
MOST_ROWS = 200
STYLES = {Outcome.STOPS: 'red', Outcome.LEFT_OUT: 'yellow', Outcome.REPAIRED: 'green'}
CIFAR = """{name} belongs there: unpack cifar-{classes}-python.tar.gz from www.cs.toronto.edu/~kriz/cifar.html so that
    {{root}}/{folder}/
exists. Or have it downloaded:
    --cfg-options train_dataloader.dataset.download=True val_dataloader.dataset.download=True
        test_dataloader.dataset.download=True"""
# The folder that a data set lives in by this project's configs, and what belongs there.
ADVICE = {
    'coco': """COCO 2017 belongs there: unpack train2017.zip, val2017.zip and annotations_trainval2017.zip from
cocodataset.org so that
    {root}/annotations/instances_train2017.json  {root}/train2017/  {root}/val2017/
exist.""",
    'ADEChallengeData2016': """ADE20K belongs there: unpack ADEChallengeData2016.zip of MIT's scene parsing benchmark
(sceneparsing.csail.mit.edu) so that
    {root}/images/training/  {root}/images/validation/
    {root}/annotations/training/  {root}/annotations/validation/
exist.""",
    'imagenet': """ImageNet-1K belongs there: from image-net.org, so that {root}/train/ and {root}/val/ have a folder
for each of the 1000 classes (n01440764, ...) with its images.""",
    'imagenetv2': 'ImageNetV2 belongs there, as its authors publish it: folders 0 to 999 with ten images each.',
    'cifar10': CIFAR.format(name='CIFAR-10', classes=10, folder='cifar-10-batches-py'),
    'cifar100': CIFAR.format(name='CIFAR-100', classes=100, folder='cifar-100-python'),
}
ELSEWHERE = "If the data is elsewhere: 'ln -s /where/it/is {root}', or name it in the config (data_root)."
# Data sets that mmpretrain can download by itself, and the folder in which it keeps those that configs here name.
DOWNLOADABLE = {
    'CIFAR10': 'cifar-10-batches-py',
    'CIFAR100': 'cifar-100-python',
    'MNIST': '',
    'FashionMNIST': '',
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Look at all data that a config names.')
    parser.add_argument('config', help=CONFIG)
    parser.add_argument(
        '--images', type=int, metavar='N', help='open N images of each data set, chosen by chance (default: all)'
    )
    parser.add_argument(
        '--contact-sheet',
        type=Path,
        metavar='FILE.jpg',
        help='draw samples of each data set with their boxes, masks or labels into one picture',
    )
    add_cfg_options(parser)
    return parser.parse_args()


def main(args: argparse.Namespace) -> int | None:
    check_at_least(args, images=0)
    sheet = args.contact_sheet
    if sheet is not None and (sheet.suffix.lower() not in PICTURES or not sheet.absolute().parent.is_dir()):
        raise UserError(f'--contact-sheet {sheet}: expected the name of a {", ".join(PICTURES)} file in a folder')
    cfg = read_config(args.config, args.cfg_options)
    check_presence(cfg, LOADERS)
    enter_scope(cfg)
    console = Console(highlight=False, markup=False)
    contents = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        report = check_datasets(cfg, LOADERS, args.images, progress, contents)
    for held in contents:
        console.print('\n'.join([held.place, *(f'  {line}' for line in held.summary)]))
        if held.rows:
            console.print(contents_table(held))
    if sheet is not None:
        contact_sheet(cfg, LOADERS).save(sheet, quality=90)
        console.print(f'{sheet}: samples of the data as models are taught them')
    for note in report.notes:
        console.print(note)
    if not report.found:
        console.print(f'{args.config}: no problem was found in its data')
        return None
    console.print(table_of(report))
    return 1 if report.of(Outcome.STOPS) else None


def table_of(report: Report) -> Table:
    """The problems, those that stop a run first, with their number and examples."""
    table = Table('outcome', show_lines=True)
    table.add_column('number', justify='right')
    for name in ('problem', 'where'):
        table.add_column(name, overflow='fold')
    for outcome, style in STYLES.items():
        for (place, kind), found in report.of(outcome).items():
            where = '\n'.join([place, *(f'  {example}' for example in found.examples)])
            table.add_row(
                Text(outcome.value, style=style), str(found.count), Text(f'{kind.what}: {kind.remedy}'), Text(where)
            )
    return table


def contents_table(contents: Contents) -> Table:
    """How much a data set holds of each class."""
    table = Table(contents.columns[0])
    for name in contents.columns[1:]:
        table.add_column(name, justify='right')
    for row in contents.rows[:MOST_ROWS]:
        table.add_row(*map(Text, row))
    if len(contents.rows) > MOST_ROWS:
        table.add_row(f'and {len(contents.rows) - MOST_ROWS} more')
    return table


def check_data(cfg: Config, loaders: Sequence[str]) -> None:
    """Make sure that the data sets of these loaders of a config are there and can be used, before anything is built.

    On each node the first process looks into them: at annotations as a whole, at some images, chosen by chance. What
    is repaired or left out is said; what would stop the run later, or make its results wrong, is refused by name.
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
    """Make sure that what a config names is there; the message has every missing path, and how to get it."""
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
    return '\n'.join([*advice, ELSEWHERE]).format(root=root)
