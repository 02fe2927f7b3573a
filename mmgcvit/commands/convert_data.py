"""Write annotations of YOLO or Pascal VOC in COCO's format: mmgcvit convert-data FOLDER OUT.

Images stay where they are; the files name them from OUT on, so that OUT serves wherever COCO's format is read.
"""

import argparse
from pathlib import Path

from ..errors import UserError, shorten
from .options import Parser


def add_options(parser: Parser) -> None:
    parser.add_argument('folder', metavar='FOLDER', help='data in the layout of YOLO or Pascal VOC')
    parser.add_argument('out', type=Path, metavar='OUT', help='the folder for train.json, and val.json and test.json')
    parser.add_argument('--overwrite', action='store_true', help='replace such files in OUT')


def main(args: argparse.Namespace) -> None:
    from ..datasets.layouts import find_layout, write_annotations
    from ..datasets.layouts.parts import OBJECTS
    from ..files import check_writable

    found = find_layout(args.folder)
    if any(part.file for part in found.parts.values()):
        raise UserError(f"{args.folder} is in COCO's format ({found.layout}); there is nothing to convert")
    if found.kinds[0] not in OBJECTS:
        raise UserError(f"{args.folder} holds {found.layout}; only objects are written in COCO's format")
    there = [str(path) for name in found.parts if (path := args.out / f'{name}.json').exists()]
    if there and not args.overwrite:
        raise UserError(f'{shorten(there)} exist; name another folder, or replace them with --overwrite')
    check_writable(args.out, f'OUT {args.out}')
    write_annotations(found, args.out.resolve(), relative=True)
    print(found)
    print('\n'.join(f'{args.out / part.file.name}: {len(part.names)} images' for part in found.parts.values()))
