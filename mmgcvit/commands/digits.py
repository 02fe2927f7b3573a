"""Write a dataset of scanned digits in the formats of COCO, ADE20K and ImageNet.

    mmgcvit digits data/digits

The folder then has ``coco`` and ``ADEChallengeData2016`` (the same scenes, which are images with several digits) and
``imagenet`` (images of a single digit). The same options always give the same files. The folder must be new or empty.
"""

import argparse
from itertools import islice
from pathlib import Path

from rich.progress import track

from ..files import write_folder_atomically
from .options import check_at_least

MIN_SIZE = 128  # minimum of --size
# Number of classification images of each scanned digit.
COPIES = {'train': 4, 'val': 1}
DIGIT_DIVISOR = 4  # side of a scene / side of a classification image


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('out', type=Path, help='output folder, for example data/digits')
    text = 'number of training scenes, images with several digits (default: %(default)s)'
    parser.add_argument('--train', type=int, default=800, help=text)
    parser.add_argument('--val', type=int, default=80, help='number of validation scenes (default: %(default)s)')
    parser.add_argument('--size', type=int, default=256, help='side of the scenes in pixels (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: %(default)s)')


def main(args: argparse.Namespace) -> None:
    check_at_least(args, train=1, val=1, size=MIN_SIZE)
    from ..datasets.digits import SceneComposer, write_ade20k, write_coco, write_imagenet

    with write_folder_atomically(args.out) as folder:
        for split, num_images in (('train', args.train), ('val', args.val)):
            scenes = islice(SceneComposer(split, args.size, args.seed), num_images)
            scenes = list(track(scenes, total=num_images, description=f'composing {split} scenes'))
            write_coco(folder / 'coco', scenes, split)
            write_ade20k(folder / 'ADEChallengeData2016', scenes, split)
            digit_composer = SceneComposer(split, args.size // DIGIT_DIVISOR, args.seed)
            write_imagenet(folder / 'imagenet', digit_composer, split, COPIES[split])
    print(f'{args.out}: {args.train} training and {args.val} validation scenes')
