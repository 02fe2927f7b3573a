"""Look at all data that a config names: python tools/check_data.py CONFIG [options].

Reads each annotation file, decodes every image, and shows what is wrong with them in a table. Ends with code 1 where
something would stop a run.
"""

import argparse

from mmengine.config import DictAction
from rich.console import Console
from rich.progress import Progress

from ..cli.data_check import check_presence
from ..cli.data_table import table_of
from ..cli.options import enter_scope, read_config
from ..data_checks import Outcome, check_datasets

LOADERS = ['train_dataloader', 'val_dataloader', 'test_dataloader']


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='a config file, for example configs/mask_rcnn_gcvit_t.py')
    parser.add_argument(
        '--images', type=int, metavar='N', help='open N images of each data set, chosen by chance (default: all)'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override settings of the config'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.images is not None and args.images < 0:
        raise SystemExit(f'--images {args.images}: expected a whole number of at least 0')
    cfg = read_config(args.config, args.cfg_options)
    check_presence(cfg, LOADERS)
    enter_scope(cfg)
    console = Console(highlight=False, markup=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        report = check_datasets(cfg, LOADERS, args.images, progress)
    for note in report.notes:
        console.print(note)
    if not report.found:
        console.print(f'{args.config}: no problem was found in its data')
        return
    console.print(table_of(report))
    if report.of(Outcome.STOPS):
        raise SystemExit(1)


if __name__ == '__main__':
    main()
