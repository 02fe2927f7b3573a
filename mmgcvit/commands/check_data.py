"""Check the data of a config or of folders: mmgcvit check-data CONFIG_OR_FOLDER ... [options].

Reads all annotations, decodes every image, counts objects by class and lists all problems. Exits
with code 1 if a problem would stop a run. A FOLDER is read as ``mmgcvit train --data`` reads it,
and several are united.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.progress import Progress

from ..errors import UserError, escape_controls, format_count
from ..host.cfg_options import parse_cfg_options
from ..host.config import (
    LOADERS,
    enter_scope,
    locate_config,
    override_settings,
    read_config,
)
from ..host.files import check_target, write_image
from ..own.training.options import DATA_OPTIONS, OPTIONS, format_option
from .options import CONFIG, add_cfg_options, add_data_option, add_integer, check_at_least

if TYPE_CHECKING:
    from mmengine.config import Config

EXAMPLE = 'mmgcvit check-data photos --contact-sheet samples.jpg'
PAGE = 'docs/data_rules.md'  # explains the command


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        'paths',
        nargs='+',
        type=locate_config,
        metavar='CONFIG_OR_FOLDER',
        help=f'{CONFIG}, or a folder as for train --data, or several',
    )
    add_integer(
        parser, '--images', 'decode N random images of each dataset of a CONFIG (default: all)'
    )
    parser.add_argument(
        '--contact-sheet', type=Path, metavar='FILE.jpg', help='draw annotated samples into a file'
    )
    parser.add_argument(
        '--augmented',
        nargs='?',
        const='light',
        choices=OPTIONS['augment'].choices,
        help='draw training images with --contact-sheet as they are augmented: those of a FOLDER '
        'as by train --augment',
    )
    for name in ('task', *DATA_OPTIONS):
        add_data_option(parser, name)
    add_cfg_options(parser)


def main(args: Namespace) -> int | None:
    """Check a config (a Python file), or folders."""
    check_at_least(args, images=0)
    if args.contact_sheet:
        check_target(args.contact_sheet, '.jpg', '.jpeg', '.png', overwrite=True)
    elif args.augmented:
        raise UserError(
            '--augmented is about a picture. Add --contact-sheet FILE.jpg, or remove --augmented'
        )
    configs = [path for path in map(Path, args.paths) if is_config(path)]
    if not configs:
        return check_folders(args)
    if len(args.paths) > 1:
        raise UserError(
            f'expected one CONFIG, or folders of data, and not {configs[0]} beside others. Check '
            'each on its own'
        )
    return check_config_data(args, configs[0])


def is_config(path: Path) -> bool:
    """Return whether a path is read as a config.

    One in YAML is not: a file that comes with a dataset must not run a program.
    """
    return path.suffix == '.py' or not path.exists()


def read_located_config(path: Path, cfg_options: Sequence[str] | None) -> 'Config':
    """Read a config, find the data if a run has written it, and override settings."""
    cfg = read_config(path)
    from ..own.runs.run_data import locate_data

    located = locate_data(cfg, path)
    override_settings(located, parse_cfg_options(cfg_options), path)
    return located


def check_folders(args: Namespace) -> None:
    """Check the data of folders, and print what a training would read.

    The config of such a training is written to a temporary folder, from which the contact sheet is
    drawn. Nothing is written into the folders of the data.
    """
    from ..own.data.formats import read_folders
    from ..own.training.config import make_config
    from ..own.training.hold_out import split_validation

    if args.images is not None or args.cfg_options:
        raise UserError('--images and --cfg-options are for a CONFIG. Remove them')
    check_sheet(args)
    read = read_folders(
        args.paths,
        args.task,
        pseudo_labels=bool(args.pseudo_labels),
        similar_classes=args.similar_classes,
    )
    dataset = split_validation(read)
    pronoun = 'their' if dataset.united else 'its'
    with TemporaryDirectory() as work_dir:
        config, summary = make_config(dataset, work_dir, args.task, augment=args.augmented)
        print(escape_controls(summary))
        for name, split in dataset.splits.items():
            counts = split.count_classes()
            text = ', '.join(f'{counts[each]} {each}' for each in dataset.classes)
            print(
                escape_controls(f'{name}: {format_count(len(split.image_names), "image")}: {text}')
            )
        print(f'{dataset.place}: no problem in {pronoun} data stops a training')
        if args.contact_sheet:
            write_sheet(args, read_config(config))


def check_config_data(args: Namespace, path: Path) -> int | None:
    """Check the data of the config in a file, and print the results.

    Return 1 if a problem would stop a run, and None otherwise.
    """
    if args.augmented not in (None, 'light'):
        raise UserError(
            f"--augmented {args.augmented} is for a FOLDER. '--augmented' draws what a config sets"
        )
    for name in ('task', *DATA_OPTIONS):
        if getattr(args, name):
            raise UserError(f'{format_option(name)} is for a FOLDER. Remove it')
    cfg = read_located_config(path, args.cfg_options)
    # Imported after the config is found, because they import torch, which takes seconds.
    from ..datasets.checks.datasets import check_datasets
    from ..datasets.checks.sources import check_presence

    check_presence(cfg, LOADERS)
    enter_scope(cfg)
    with Progress(transient=True, disable=not sys.stdout.isatty()) as progress:
        report = check_datasets(cfg, LOADERS, args.images, progress)
    lines = [*report.summaries, *report.notes]
    errors = report.format_messages()
    if not lines and not errors:
        raise UserError(f'{path} has no dataset to check in {", ".join(LOADERS)}')
    lines += [f'stops the run: {error}' for error in errors]
    for warning in report.format_messages(stops_run=False):
        lines.append(f'does not stop the run: {warning}')
    if not errors:
        lines.append(f'{path}: no problem in its data stops the run')
    print(escape_controls('\n'.join(lines)))
    if args.contact_sheet:
        write_sheet(args, cfg)
    return 1 if errors else None


def check_sheet(args: Namespace) -> None:
    """Raise a UserError if the contact sheet would be in one of the folders that are checked, where
    it would replace an image or become one.
    """
    if not args.contact_sheet:
        return
    sheet = args.contact_sheet.resolve()
    for path in map(Path, args.paths):
        if sheet.is_relative_to(path.resolve()):
            raise UserError(
                f'--contact-sheet {args.contact_sheet} is in {path}, where it would be one of the '
                'images. Choose a file in another folder'
            )


def write_sheet(args: Namespace, cfg: 'Config') -> None:
    """Draw samples of the data with their annotations."""
    from ..own.judging.grids import draw_contact_sheet

    enter_scope(cfg)
    loaders = LOADERS[:1] if args.augmented else LOADERS
    write_image(args.contact_sheet, draw_contact_sheet(cfg, loaders, bool(args.augmented)))
    print(f'{args.contact_sheet}: samples of the data with their annotations')
