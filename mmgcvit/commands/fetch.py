"""Download ahead the weights that configs name, for nodes without a network: mmgcvit fetch CONFIG [CONFIG ...].

The files go to the caches of torch (``TORCH_HOME``) and huggingface_hub (``HF_HOME``), where training and testing look
for them: set these to a folder that the nodes share.
"""

import argparse

from ..config import check_config
from .options import Parser


def add_options(parser: Parser) -> None:
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files, whose weights are downloaded')


def main(args: argparse.Namespace) -> None:
    for config in args.configs:
        check_config(config)
    from ..checkpoints.safe_loading import fetch, named_checkpoints
    from ..config import read_config

    sources = dict.fromkeys(source for config in args.configs for source in named_checkpoints(read_config(config)))
    for source in sources:
        fetch(source)
        print(f'{source}: in the cache')
    if not sources:
        print('The configs name no weights.')
