"""Try a model in the browser: mmgcvit web CONFIG [CHECKPOINT] [options].

Only this machine can open the page.
"""

import argparse
import os
from tempfile import TemporaryDirectory

from ..errors import UserError, check_installed
from ..inference.model_files import check_model_files
from .options import add_model_options, load_model

PORT = 7860


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument('--port', type=int, default=PORT, help='port (default: %(default)s)')


def main(args: argparse.Namespace) -> None:
    if not 1 <= args.port <= 65535:
        raise UserError(f'--port {args.port}: expected a number from 1 to 65535')
    check_model_files(args.config, args.checkpoint)
    check_installed('the page', 'gradio')
    # Gradio stores uploaded files in this folder, and does not delete them.
    with TemporaryDirectory() as os.environ['GRADIO_TEMP_DIR']:
        from ..web import build_page, serve_page

        model_files, model = load_model(args)
        page = build_page(model)
        print(f'{model_files.checkpoint}\nOpen {serve_page(page, args.port)} in a browser; end with Ctrl-C', flush=True)
        page.block_thread()
