"""Try a model on a page in the browser: mmgcvit web --build FOLDER | CONFIG [CHECKPOINT] [options].

``--build`` writes a static page, whose digits detector and classifiers run in the browser. With CONFIG, a checkpoint of
any task runs in this program, which serves the page to this machine only.
"""

import argparse
import sys
from pathlib import Path

from ..errors import UserError
from ..inference.sources import check_named
from .options import Parser, add_model_options, load_model

PORT = 8000


def add_options(parser: Parser) -> None:
    parser.usage = '%(prog)s --build FOLDER\n       %(prog)s CONFIG [CHECKPOINT] [options]'
    add_model_options(parser, needed=False)
    parser.add_argument(
        '--build',
        type=Path,
        metavar='FOLDER',
        help='write a static page with the digits models, which run in the browser; a page of an earlier call is '
        'replaced',
    )
    parser.add_argument(
        '--port', type=int, default=PORT, help='of this machine; 0 for any that is free (default: %(default)s)'
    )


def main(args: argparse.Namespace) -> None:
    if (args.build is None) == (args.config is None):
        raise UserError('name CONFIG to serve a model, or --build FOLDER to write a static page')
    if args.config is not None:
        serve(args)
        return
    from ..web.building import build_page

    for line in build_page(args.build):
        print(line, flush=True)


def serve(args: argparse.Namespace) -> None:
    """Serve the page until the program is interrupted."""
    if not 0 <= args.port <= 65535:
        raise UserError(f'--port {args.port}: expected a number from 0 to 65535')
    check_named(args.config, args.checkpoint)
    from ..web.model import ServedModel
    from ..web.server import PageServer

    source, model = load_model(args)
    try:
        server = PageServer(args.port, ServedModel(model, source.config))
    except OSError as error:
        raise UserError(
            f'--port {args.port} cannot be had ({error.strerror}); name another, or 0 for any that is free'
        ) from None
    with server:
        print(f'{source.checkpoint}\nOpen {server.address} in a browser; end with Ctrl-C', flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print('ended', file=sys.stderr)
