"""Rank pictures to label next: mmgcvit suggest RUN [CHECKPOINT] PICTURE ... [options]."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..errors import UserError, escape_controls, format_count, shorten
from ..host.files import is_url
from ..ops.requirements import check_installed
from ..own.pictures.finding import find_inputs
from ..own.pictures.output_files import SUGGESTIONS
from ..predict.model_files import find_model_files
from .options import (
    add_data_folder,
    add_model_options,
    add_out_dir,
    check_out_dir,
    create_out_dir,
    print_newer_files,
    split_checkpoint,
)

EXAMPLE = 'mmgcvit suggest work_dirs/photos unlabelled --copy-to next 20'
PAGE = 'docs/labelling.md'  # explains the command
NUM_PRINTED = 5


def add_options(parser: ArgumentParser) -> None:
    parser.usage = '%(prog)s RUN [CHECKPOINT] PICTURE [PICTURE ...] [options]'
    add_model_options(parser)
    parser.add_argument(
        'inputs',
        nargs='*',
        metavar='PICTURE',
        help="unlabelled pictures, folders, or glob patterns ('photos/**/*.jpg')",
    )
    add_data_folder(parser)
    add_out_dir(parser, 'suggestions', 'replace the files of an earlier ranking')
    parser.add_argument(
        '--copy-to',
        nargs=2,
        metavar=('FOLDER', 'N'),
        help='copy the first N pictures into a new FOLDER, to label them',
    )


def main(args: Namespace) -> None:
    checkpoint, patterns = split_checkpoint(args.checkpoint, args.inputs)
    files = find_model_files(args.config, checkpoint)
    if not patterns:
        raise UserError(
            f'no PICTURE given. After {checkpoint or args.config}, pass pictures, folders or '
            'patterns such as "photos/*.jpg"'
        )
    check_installed('suggest', 'supervision')
    pictures, videos = find_inputs(patterns)
    copies = read_copies(args, pictures, videos)
    check_out_dir(args, SUGGESTIONS)
    from ..own.runs.run_data import locate_data
    from ..own.suggestions.outputs import copy_pictures, write_ranking, write_sheet
    from ..own.suggestions.suggest import describe_training_pictures, suggest, trains_mirrored
    from .loading import load_silently

    cfg = locate_data(files.cfg, files.config, args.data)
    print_newer_files(cfg)
    model = load_silently(files, args.device)
    print(model)
    known = describe_training_pictures(model, cfg)
    is_mirrored = trains_mirrored(cfg)
    if not is_mirrored:
        print(
            'the run does not mirror images, so pictures are not compared with their mirror image'
        )
    suggestions, failures = suggest(model, pictures, known, is_mirrored)
    for failure in failures:
        print(escape_controls(f'skipped: {failure}'))
    if not suggestions:
        raise UserError('none of the pictures can be read and predicted')
    out_dir = create_out_dir(args, None, SUGGESTIONS)
    write_ranking(out_dir, suggestions)
    write_sheet(out_dir, suggestions, model)
    first = shorten([each.path for each in suggestions], NUM_PRINTED)
    print(f'{format_count(len(suggestions), "picture")} ranked, to label first: {first}')
    print(f'written to {out_dir}')
    if copies:
        folder, number = copies
        copy_pictures(folder, suggestions[:number])
        print(f'{format_count(min(number, len(suggestions)), "picture")} copied to {folder}')
    if failures:
        raise UserError(
            f'{format_count(len(failures), "picture")} could not be ranked. See the messages above'
        )


def read_copies(args: Namespace, pictures: list[str], videos: list[str]) -> tuple[Path, int] | None:
    """Return the folder and the number of ``--copy-to``, or None without it.

    Raise a UserError for videos and URLs, which are not ranked, for a number that is not one, and
    for pictures that cannot be in one folder.
    """
    from ..own.labels.folder import check_new_folder, check_pictures

    others = [*videos, *filter(is_url, pictures)]
    if others:
        raise UserError(
            f'suggest ranks pictures on this machine, not videos and URLs ({shorten(others)}). '
            'Save frames as pictures, or download them, and pass those'
        )
    if args.copy_to is None:
        return None
    name, number = args.copy_to
    if not number.isdecimal() or int(number) < 1:
        raise UserError(f'--copy-to {name} {number}: expected FOLDER and a number of at least 1')
    folder = Path(name)
    check_new_folder(folder, '--copy-to')
    check_pictures(pictures, videos, '--copy-to')
    return folder, int(number)
