"""Write YOLO or Pascal VOC annotations in COCO's format: mmgcvit convert-data FOLDER OUT.

Images stay where they are. The files name them relative to OUT, so that OUT can be used wherever COCO's format is read.
"""

import argparse
from pathlib import Path

from ..errors import UserError, shorten
from .options import Parser


def add_options(parser: Parser) -> None:
    parser.add_argument('folder', metavar='FOLDER', help='YOLO or Pascal VOC data')
    parser.add_argument('out', type=Path, metavar='OUT', help='the folder for train.json, and val.json and test.json')
    parser.add_argument('--overwrite', action='store_true', help='replace such files in OUT')


def main(args: argparse.Namespace) -> None:
    from ..datasets.formats import read_folder, write_annotations
    from ..files import check_writable

    dataset = read_folder(args.folder)
    if not dataset.has_objects or any(split.file for split in dataset.splits.values()):
        raise UserError(f'{args.folder} holds {dataset.format}; only YOLO and Pascal VOC are converted to COCO')
    there = [str(path) for name in dataset.splits if (path := args.out / f'{name}.json').exists()]
    if there and not args.overwrite:
        raise UserError(f'{shorten(there)} exist; name another folder, or replace them with --overwrite')
    check_writable(args.out, f'OUT {args.out}')
    write_annotations(dataset, args.out.resolve(), relative=True)
    print(dataset)
    print('\n'.join(f'{args.out / split.file.name}: {len(split.names)} images' for split in dataset.splits.values()))
