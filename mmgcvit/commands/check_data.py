"""Look at all data that a config names: mmgcvit check-data CONFIG [options].

Reads each annotation file, decodes every image, and shows the number of objects of each class and what is wrong.
Ends with code 1 where something would stop a run. Training and testing look at a few images by themselves.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from ..config import enter_scope, overrides, read_config
from ..errors import UserError
from .options import CONFIG, Parser, add_cfg_options, check_at_least

if TYPE_CHECKING:
    from ..datasets.checks import Report

PICTURES = ('.jpg', '.jpeg', '.png')
LOADERS = ['train_dataloader', 'val_dataloader', 'test_dataloader']
MOST_ROWS = 200
# Of outcomes, by their names.
STYLES = {'STOPS': 'red', 'LEFT_OUT': 'yellow', 'REPAIRED': 'green'}


def add_options(parser: Parser) -> None:
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


def main(args: argparse.Namespace) -> int | None:
    check_at_least(args, images=0)
    sheet = args.contact_sheet
    if sheet is not None and (sheet.suffix.lower() not in PICTURES or not sheet.absolute().parent.is_dir()):
        raise UserError(f'--contact-sheet {sheet}: expected the name of a {", ".join(PICTURES)} file in a folder')
    cfg = read_config(args.config, overrides(args.cfg_options))
    from ..datasets.checks import Outcome, check_datasets
    from ..datasets.checks.presence import check_presence

    check_presence(cfg, LOADERS)
    enter_scope(cfg)
    console = Console(highlight=False, markup=False)
    summaries = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        report = check_datasets(cfg, LOADERS, args.images, progress, summaries)
    for each in summaries:
        console.print(f'{each.place}\n  {each.text}', soft_wrap=True)
        if each.counts:
            table = Table('class', 'number')
            for name, number in each.counts.most_common(MOST_ROWS):
                table.add_row(Text(name), str(number))
            console.print(table)
    if sheet is not None:
        from ..files import write_image
        from ..visualization.grids import draw_contact_sheet

        write_image(sheet, draw_contact_sheet(cfg, LOADERS))
        console.print(f'{sheet}: samples of the data as models are taught them', soft_wrap=True)
    for note in report.notes:
        console.print(note, soft_wrap=True)
    if not report.found:
        console.print(f'{args.config}: no problem was found in its data', soft_wrap=True)
        return None
    for text in lines_of(report):
        console.print(text, soft_wrap=True)
    return 1 if report.of(Outcome.STOPS) else None


def lines_of(report: Report) -> Iterator[Text]:
    """The problems, those that stop a run first, with their number and examples; names of files stay whole."""
    from ..datasets.checks.report import NUM_EXAMPLES, Outcome

    for outcome in map(Outcome.__getitem__, STYLES):
        for (place, issue), examples in report.of(outcome).items():
            lines = ['', place, *(f'  {example}' for example in examples[:NUM_EXAMPLES])]
            lines += ['  ...'] * (len(examples) > NUM_EXAMPLES)
            number = f' ({len(examples)})' if examples else ''
            yield Text.assemble(
                (outcome.value, STYLES[outcome.name]), f': {issue.what}{number}; {issue.remedy}' + '\n    '.join(lines)
            )
