"""Make the digits data set: scanned handwritten digits in COCO's, ADE20K's and ImageNet's folder layouts.

    python tools/make_digits.py data/digits

writes ``coco``, ``ADEChallengeData2016`` (the same scenes) and ``imagenet`` (single digits) under that folder, the same
files for the same options.
"""

import argparse
import json
import shutil
from itertools import islice
from pathlib import Path

from rich.progress import track

from mmgcvit.digits import SceneComposer, write_ade20k, write_coco, write_imagenet

OPTIONS_FILE = 'digits.json'
# Of what this tool writes: sets of another version are made again.
VERSION = 2
SMALLEST = 128
# Of each scan for classification; and how much smaller than the scenes its images are.
COPIES = {'train': 4, 'val': 1}
SINGLE_DIGITS_SMALLER = 4


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path, help='the folder to make, for example data/digits')
    parser.add_argument('--train', type=int, default=800, help='number of training images (default: %(default)s)')
    parser.add_argument('--val', type=int, default=80, help='number of validation images (default: %(default)s)')
    parser.add_argument('--size', type=int, default=256, help='side of the images in pixels (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: %(default)s)')
    return parser.parse_args()


def is_up_to_date(out: Path, options: dict[str, int]) -> bool:
    """Whether this very set is there already. What this tool did not make is never replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    made_with = out / OPTIONS_FILE
    if not made_with.is_file():
        raise SystemExit(f'{out} exists and was not made by this tool; name another folder, or remove it first')
    return json.loads(made_with.read_text()) == options


def main() -> None:
    args = parse_args()
    options = {'train': args.train, 'val': args.val, 'size': args.size, 'seed': args.seed, 'version': VERSION}
    if min(args.train, args.val) < 1 or args.size < SMALLEST:
        raise SystemExit(
            f'--train {args.train} --val {args.val} --size {args.size}: expected at least one image each, and at least '
            f'{SMALLEST} px'
        )
    if is_up_to_date(args.out, options):
        print(f'{args.out} is up to date')
        return
    # Made beside its place and moved there whole: an interrupted run leaves what was there.
    unfinished = args.out.with_name(args.out.name + '.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    for split, num_images in (('train', args.train), ('val', args.val)):
        scenes = islice(SceneComposer(split, args.size, args.seed), num_images)
        scenes = list(track(scenes, total=num_images, description=f'composing {split} images'))
        write_coco(unfinished / 'coco', scenes, split)
        write_ade20k(unfinished / 'ADEChallengeData2016', scenes, split)
        single = SceneComposer(split, args.size // SINGLE_DIGITS_SMALLER, args.seed)
        write_imagenet(unfinished / 'imagenet', single, split, COPIES[split])
    (unfinished / OPTIONS_FILE).write_text(json.dumps(options))
    shutil.rmtree(args.out, ignore_errors=True)
    unfinished.rename(args.out)
    print(f'{args.out}: {args.train} training and {args.val} validation images')


if __name__ == '__main__':
    main()
