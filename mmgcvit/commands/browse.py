"""Draw samples of a data set with their augmentations: mmgcvit browse CONFIG [options].

Draws samples into contact sheets, each as it is stored beside some draws of the pipeline's augmentations, with boxes,
masks or labels; batches go through the model's preprocessor, so that padding, mixup and CutMix are seen too.
"""

import argparse

from ..files import written_whole
from ..hosts.configs import enter_scope, overrides, read_config
from .options import CONFIG, Parser, add_cfg_options, add_out_dir, check_at_least, settle_out_dir

QUALITY = 90


def add_options(parser: Parser) -> None:
    parser.add_argument('config', help=CONFIG)
    parser.add_argument(
        '--split', choices=['train', 'val', 'test'], default='train', help='whose data (default: %(default)s)'
    )
    parser.add_argument('--number', type=int, default=8, metavar='N', help='so many samples (default: %(default)s)')
    parser.add_argument(
        '--draws', type=int, default=3, metavar='K', help='augment each so often (default: %(default)s)'
    )
    parser.add_argument('--seed', type=int, default=0, help='of samples and augmentations (default: %(default)s)')
    add_out_dir(parser, 'browse', overwrite='replace sheets of the same names')
    add_cfg_options(parser)


def main(args: argparse.Namespace) -> None:
    check_at_least(args, number=1, draws=1, seed=0)
    settle_out_dir(args)
    cfg, loader = read_config(args.config, overrides(args.cfg_options)), f'{args.split}_dataloader'
    from ..inference.outputs import check_out_dir

    folder = args.out_dir
    check_out_dir(folder, sorted(path.name for path in folder.glob(f'{args.split}_*.jpg'))[:1], args.overwrite)
    from ..datasets.checks.presence import check_presence
    from ..visualization.browsing import Samples, sheets_of

    check_presence(cfg, [loader])
    enter_scope(cfg)
    samples = Samples(cfg, loader)
    sheets = sheets_of(samples, samples.chosen(args.number, args.seed), args.draws, args.seed)
    for page, sheet in enumerate(sheets, start=1):
        path = folder / f'{args.split}_{page:02d}.jpg'
        with written_whole(path, flush=False) as unfinished:
            sheet.save(unfinished, 'JPEG', quality=QUALITY)
        print(path)
