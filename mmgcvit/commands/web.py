"""A page on which one tries models in a browser: python tools/web.py --build FOLDER | CONFIG [CHECKPOINT] [options].

``--build`` writes a static page, whose digits detector and classifiers run in the browser. With CONFIG, a checkpoint of
any task runs in this program, which serves the page to this machine only. CONFIG may be the work dir of a run.
"""

import argparse
import sys
from pathlib import Path

from ..inference import UserError
from .options import add_trust_option

PORT = 8000


def parse_args() -> argparse.Namespace:
    usage = '%(prog)s --build FOLDER\n       %(prog)s CONFIG [CHECKPOINT] [options]'
    parser = argparse.ArgumentParser(usage=usage, description='Try a model on a page in the browser.')
    parser.add_argument('config', nargs='?', metavar='CONFIG', help='a config file, or the work dir of a run')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        metavar='CHECKPOINT',
        help='a checkpoint of that config; may be left out with a work dir, and with configs that weights come with',
    )
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
    parser.add_argument('--device', default='auto', help='auto: a GPU where there is one (default); cpu, cuda, cuda:N')
    add_trust_option(parser)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    if (args.build is None) == (args.config is None):
        raise UserError('name CONFIG to serve a model, or --build FOLDER to write a static page')
    if args.build is not None:
        build(args.build)
    else:
        serve(args)


def build(folder: Path) -> None:
    """Write the static page."""
    from ..web.building import build_page

    for line in build_page(folder):
        print(line, flush=True)


def serve(args: argparse.Namespace) -> None:
    """Serve the page until the program is interrupted.

    Raises:
        UserError: The model cannot be loaded, or the port cannot be had.
        CheckpointError: The checkpoint cannot be read, or is not the config's model's.
    """
    from ..inference import load
    from ..inference.loading import find_source
    from ..web.served_model import ServedModel
    from ..web.server import PageServer

    if not 0 <= args.port <= 65535:
        raise UserError(f'--port {args.port}: expected a number from 0 to 65535')
    source = find_source(args.config, args.checkpoint)
    model = load(source.config, source.checkpoint, args.device, trust_checkpoint=args.trust_checkpoint)
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
