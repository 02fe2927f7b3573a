"""Check the data of a config or a folder: mmgcvit check-data CONFIG_OR_FOLDER [options].

Reads all annotations, decodes every image, counts objects by class and lists all problems. Exits
with code 1 if a problem would stop a run. A FOLDER (or its data.yaml or COCO file) is read as
``mmgcvit train --data`` reads it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from ..config import LOADERS, enter_scope, is_config, parse_cfg_options, read_config
from ..errors import UserError, escape_controls
from ..files import check_writable, make_portable_path, write_image
from .options import AUGMENTATIONS, CONFIG, add_cfg_options, add_task, check_at_least

if TYPE_CHECKING:
    from mmengine.config import Config

SHEET_SUFFIXES = ('.jpg', '.jpeg', '.png')


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'config', metavar='CONFIG_OR_FOLDER', help=f'{CONFIG}, or a folder as for train --data'
    )
    parser.add_argument(
        '--images',
        type=int,
        metavar='N',
        help='decode N random images of each dataset (default: all)',
    )
    parser.add_argument(
        '--contact-sheet', type=Path, metavar='FILE.jpg', help='draw annotated samples into a file'
    )
    text = 'draw training images with --contact-sheet as they are augmented: those of a FOLDER as by train --augment'
    parser.add_argument('--augmented', nargs='?', const='light', choices=AUGMENTATIONS, help=text)
    add_task(parser)
    add_cfg_options(parser)


def main(args: argparse.Namespace) -> int | None:
    check_at_least(args, images=0)
    sheet, path, options = (
        args.contact_sheet,
        Path(args.config),
        parse_cfg_options(args.cfg_options),
    )
    if sheet is not None:
        if sheet.suffix.lower() not in SHEET_SUFFIXES:
            raise UserError(
                f'--contact-sheet {sheet}: expected a name that ends in '
                f'{" or ".join(SHEET_SUFFIXES)}'
            )
        check_writable(sheet.parent, f'--contact-sheet {sheet}')
    elif args.augmented:
        raise UserError(
            '--augmented is about a picture. Add --contact-sheet FILE.jpg, or remove --augmented'
        )
    if not path.exists() or (path.is_file() and path.suffix == '.py'):
        if args.augmented not in (None, 'light'):
            raise UserError(
                f"--augmented {args.augmented} is for a FOLDER. '--augmented' draws what a config "
                'sets'
            )
        if args.task:
            raise UserError(f'--task {args.task} is for a FOLDER. Remove it')
        return check_config_data(args, read_config(path, options))
    if is_config(path):  # it is not read: a file that comes with a dataset must not run a program
        raise UserError(
            f'{path} is a config. Inherit from it in a config in Python (_base_), and check that'
        )
    from ..datasets.formats import find_folder, read_folder

    folder = find_folder(path)
    if (
        config := folder / f'{folder.name}.py'
    ).is_file():  # not read unasked: a dataset may have such a program
        raise UserError(
            f'{folder} is the work dir of a run. Check the data of its config: mmgcvit check-data '
            f'{config}'
        )
    from ..datasets.own_data import make_config

    dataset_info = read_folder(args.config, args.task)
    with TemporaryDirectory() as work_dir:
        config, _ = make_config(dataset_info, work_dir, args.task, augment=args.augmented)
        print(dataset_info)
        try:
            cfg = read_config(config, options)
        except UserError as error:  # the config is deleted when the command ends
            raise UserError(
                str(error).replace(str(config), f'the config of train --data {path}')
            ) from None
        return check_config_data(args, cfg, f'{make_portable_path(config.parent)}/')


def check_config_data(args: argparse.Namespace, cfg: Config, temporary: str = '') -> int | None:
    """Check the data of a config and print the results.

    Files are named without the prefix ``temporary``.
    """
    from ..datasets.checks.datasets import check_datasets, list_unscored
    from ..datasets.checks.paths import check_presence

    check_presence(cfg, LOADERS)
    enter_scope(cfg)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        report = check_datasets(cfg, LOADERS, args.images, progress)
    errors = report.format_messages()
    if not (report.summaries or report.notes or errors):
        raise UserError(f'{args.config} has no dataset to check in {", ".join(LOADERS)}')
    unscored = [] if errors else [*list_unscored(cfg)]
    lines = [('', '', text) for text in report.summaries + report.notes + unscored]
    lines += [('stops the run: ', 'red', text) for text in errors]
    lines += [
        ('does not stop the run: ', 'yellow', text)
        for text in report.format_messages(stops_run=False)
    ]
    for effect, colour, text in lines:
        console.print(Text.assemble((effect, colour), escape_controls(text.replace(temporary, ''))))
    if not errors:
        console.print(f'{args.config}: no problem in its data stops the run')
    if args.contact_sheet is not None:
        from ..evaluation.grids import draw_contact_sheet

        loaders = LOADERS[:1] if args.augmented else LOADERS
        write_image(args.contact_sheet, draw_contact_sheet(cfg, loaders, bool(args.augmented)))
        console.print(f'{args.contact_sheet}: samples of the data with their annotations')
    return 1 if errors else None
