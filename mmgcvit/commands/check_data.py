"""Look at all data that a config names: python tools/check_data.py CONFIG [options].

Reads each annotation file, decodes every image, and shows what there is of each class and what is wrong, in tables.
Ends with code 1 where something would stop a run.
"""

import argparse
from pathlib import Path

from mmengine.config import DictAction
from rich.console import Console
from rich.progress import Progress

from ..datasets.checks import Outcome, check_datasets
from ..datasets.checks.contents import contact_sheet
from ..errors import UserError
from ..hosts.configs import enter_scope, read_config
from .data_check import check_presence
from .data_table import contents_table, table_of

PICTURES = ('.jpg', '.jpeg', '.png')
LOADERS = ['train_dataloader', 'val_dataloader', 'test_dataloader']


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='a config file, for example configs/mask_rcnn_gcvit_t.py')
    parser.add_argument(
        '--images', type=int, metavar='N', help='open N images of each data set, chosen by chance (default: all)'
    )
    parser.add_argument(
        '--contact-sheet',
        type=Path,
        metavar='FILE.jpg',
        help='draw samples of each data set with their boxes, masks or labels into one picture',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override settings of the config'
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> int | None:
    if args.images is not None and args.images < 0:
        raise UserError(f'--images {args.images}: expected a whole number of at least 0')
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
