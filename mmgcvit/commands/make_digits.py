"""Write a data set of scanned digits in the formats of COCO, ADE20K and ImageNet.

    mmgcvit digits data/digits

writes ``coco`` and ``ADEChallengeData2016`` (the same scenes), ``imagenet`` (single digits) and, in ADE20K's format,
``pages`` (upright or upside down). Equal options give equal files.
"""

import argparse
from itertools import islice
from pathlib import Path

from rich.progress import track

from ..errors import UserError
from ..files import atomic_folder, is_up_to_date
from .options import Parser

OPTIONS_FILE = 'digits.json'
# Of the written files: data sets of another version are rewritten.
VERSION = 5
SMALLEST = 128
# Copies of each scan for classification, and their size relative to the scenes.
COPIES = {'train': 4, 'val': 1}
SINGLE_DIGITS_SMALLER = 4
# Side of a page, and pages for each scene.
PAGE_SIZE, PAGES = 72, 2


def add_options(parser: Parser) -> None:
    parser.add_argument('out', type=Path, help='output folder, for example data/digits')
    parser.add_argument('--train', type=int, default=800, help='number of training images (default: %(default)s)')
    parser.add_argument('--val', type=int, default=80, help='number of validation images (default: %(default)s)')
    parser.add_argument('--size', type=int, default=256, help='side of the images in pixels (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: %(default)s)')


def main(args: argparse.Namespace) -> None:
    options = {'train': args.train, 'val': args.val, 'size': args.size, 'seed': args.seed}
    options['version'] = VERSION
    if min(args.train, args.val) < 1 or args.size < SMALLEST:
        raise UserError(
            f'--train {args.train} --val {args.val} --size {args.size}: expected at least one image each, and at least '
            f'{SMALLEST} px'
        )
    if is_up_to_date(args.out, OPTIONS_FILE, options):
        print(f'{args.out} is up to date')
        return
    from ..datasets.digits import SceneComposer, write_ade20k, write_coco, write_imagenet
    from ..datasets.pages import compose_page, label_page

    with atomic_folder(args.out, OPTIONS_FILE, options) as folder:
        for split, num_images in (('train', args.train), ('val', args.val)):
            scenes = islice(SceneComposer(split, args.size, args.seed), num_images)
            scenes = list(track(scenes, total=num_images, description=f'composing {split} images'))
            write_coco(folder / 'coco', scenes, split)
            write_ade20k(folder / 'ADEChallengeData2016', scenes, split)
            single = SceneComposer(split, args.size // SINGLE_DIGITS_SMALLER, args.seed)
            write_imagenet(folder / 'imagenet', single, split, COPIES[split])
            of_pages = SceneComposer(split, PAGE_SIZE, args.seed)
            pages = (compose_page(of_pages) for _ in range(PAGES * num_images))
            write_ade20k(folder / 'pages', pages, split, label_page)
    print(f'{args.out}: {args.train} training and {args.val} validation images')
