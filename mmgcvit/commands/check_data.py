"""Check the data of a config: mmgcvit check-data CONFIG [options].

Reads all annotations, decodes every image, counts objects by class and lists all problems. Exits with code 1 if a
problem would stop a run. Training and testing check only a few images.
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from ..config import enter_scope, parse_cfg_options, read_config
from ..errors import UserError
from .options import CONFIG, Parser, add_cfg_options, check_at_least

SHEET_SUFFIXES = ('.jpg', '.jpeg', '.png')
LOADERS = ['train_dataloader', 'val_dataloader', 'test_dataloader']


def add_options(parser: Parser) -> None:
    parser.add_argument('config', help=CONFIG)
    parser.add_argument(
        '--images', type=int, metavar='N', help='decode N random images of each data set (default: all)'
    )
    parser.add_argument(
        '--contact-sheet',
        type=Path,
        metavar='FILE.jpg',
        help='draw samples of each data set with their annotations',
    )
    add_cfg_options(parser)


def main(args: argparse.Namespace) -> int | None:
    check_at_least(args, images=0)
    sheet = args.contact_sheet
    if sheet is not None and (sheet.suffix.lower() not in SHEET_SUFFIXES or not sheet.absolute().parent.is_dir()):
        raise UserError(f'--contact-sheet {sheet}: expected a {", ".join(SHEET_SUFFIXES)} file in an existing folder')
    cfg = read_config(args.config, parse_cfg_options(args.cfg_options))
    from ..datasets.checks import check_datasets
    from ..datasets.checks.sources import check_presence

    check_presence(cfg, LOADERS)
    enter_scope(cfg)
    console = Console(highlight=False, markup=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        report = check_datasets(cfg, LOADERS, args.images, progress)
    for text in report.summaries + report.notes:
        console.print(text, soft_wrap=True)
    if sheet is not None:
        from ..files import write_image
        from ..visualization.grids import draw_contact_sheet

        write_image(sheet, draw_contact_sheet(cfg, LOADERS))
        console.print(f'{sheet}: samples of the data with their annotations', soft_wrap=True)
    if not report.issues:
        console.print(f'{args.config}: no problem found in its data', soft_wrap=True)
        return None
    errors = report.format_sentences()
    for text in errors:
        console.print(Text.assemble(('stops the run', 'red'), f': {text}'), soft_wrap=True)
    for text in report.format_sentences(stops=False):
        console.print(Text.assemble(('left out', 'yellow'), f': {text}'), soft_wrap=True)
    return 1 if errors else None
