"""Write miniatures of COCO, ADE20K and ImageNet-1K: their folders and classes, with a few images of scanned digits.

    mmgcvit miniature data/miniature

The folder then has ``coco``, ``ADEChallengeData2016`` and ``imagenet``. Use them to test that a config reads its data.
The same seed always gives the same files.
"""

import argparse
from pathlib import Path

from ..datasets.classes import list_imagenet_folders
from ..files import is_up_to_date, write_folder_atomically
from .options import Parser

OPTIONS_FILE = 'miniature.json'
# Version of the written files. Datasets with another version are rewritten.
VERSION = 2


def add_options(parser: Parser) -> None:
    parser.add_argument('out', type=Path, help='output folder, for example data/miniature')
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: %(default)s)')


def main(args: argparse.Namespace) -> None:
    options = {'seed': args.seed, 'version': VERSION}
    if is_up_to_date(args.out, OPTIONS_FILE, options):
        print(f'{args.out} is up to date')
        return
    from ..datasets.miniature import write_miniature_ade20k, write_miniature_coco, write_miniature_imagenet

    with write_folder_atomically(args.out, OPTIONS_FILE, options) as folder:
        write_miniature_coco(folder / 'coco', seed=args.seed)
        write_miniature_ade20k(folder / 'ADEChallengeData2016', seed=args.seed)
        write_miniature_imagenet(folder / 'imagenet', list_imagenet_folders(), args.seed)
    print(f'{args.out}: coco, ADEChallengeData2016, imagenet')
