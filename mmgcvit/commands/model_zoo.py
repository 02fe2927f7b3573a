"""Write docs/model_zoo.md from model-index.yml and the files it names, in a clone: mmgcvit model-zoo.

``--check`` changes nothing and fails where the page or its pictures are not what those files say. ``--draw`` draws the
pictures too.
"""

import argparse

from .options import Parser


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--check', action='store_true', help='change nothing; fail where the page is out of date')
    what.add_argument('--draw', action='store_true', help='draw the pictures too')
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    from ..experiments.model_zoo import check, write_page

    if args.check:
        check()
    else:
        write_page(args.draw)
