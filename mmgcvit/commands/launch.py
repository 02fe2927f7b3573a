"""Train or test on several GPUs, or in several processes where there is no GPU, with torch's launcher.

    mmgcvit launch GPUS train CONFIG [options of mmgcvit train]
    mmgcvit launch GPUS test CONFIG [CHECKPOINT] [options of mmgcvit test]

tools/dist_train.sh and tools/dist_test.sh call it.

Environment variables, as for mmdet's scripts:
    NNODES        How many nodes take part (default 1); the script is called on each.
    NODE_RANK     Which of them this one is, from 0.
    MASTER_ADDR   The address of node 0.
    PORT          A port of node 0, by which processes find each other (default: a free one, with several nodes 29500).
    NODE_TIMEOUT  Seconds after which a node that has not been heard of is taken for lost (default 300).

Where one of the first four is not set, it is PET_NNODES, PET_NODE_RANK, PET_MASTER_ADDR or PET_MASTER_PORT, which
Kubeflow's operators set in each pod.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..hosts.configs import check_config
from .options import CONFIG, Parser, add_device_option

if TYPE_CHECKING:
    from .launcher import Nodes

DEFAULT_PORT = 29500
# How torch's launcher calls what it and this one read.
OF_TORCH = {
    'PET_NNODES': 'NNODES',
    'PET_NODE_RANK': 'NODE_RANK',
    'PET_MASTER_ADDR': 'MASTER_ADDR',
    'PET_MASTER_PORT': 'PORT',
}


def add_options(parser: Parser) -> None:
    parser.epilog = __doc__.partition('\n\n')[2]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('gpus', metavar='GPUS', help='of this machine, or processes where there are none')
    parser.add_argument('command', choices=('train', 'test'))
    parser.add_argument('config', metavar='CONFIG', help=CONFIG)
    parser.add_argument('options', nargs=argparse.REMAINDER, metavar='...', help='what else that command takes')


def main(args: argparse.Namespace) -> int:
    processes = whole_number('GPUS', args.gpus, least=1)
    if not (args.command == 'test' and Path(args.config).is_dir()):
        check_config(args.config)
    # What options of training or testing say of it.
    parser = Parser(add_help=False)
    add_device_option(parser)
    device = parser.parse_known_args(args.options)[0].device
    import torch

    from ..hosts.machine import HIDING_VARIABLE, check_gpus, use_gpus
    from .launcher import run_on

    nodes = read_nodes(os.environ)
    # Of torch's launcher they would change options that are not given here.
    kept = {name: value for name, value in os.environ.items() if not name.startswith('PET_')}
    environment = kept | threads(processes, os.environ)
    if device == 'cpu':
        environment[HIDING_VARIABLE] = '-1'
    else:
        check_gpus()
        use_gpus(args.command, device, 'pytorch')
        if torch.cuda.is_available() and processes > torch.cuda.device_count():
            raise UserError(
                f'GPUS={processes}, but {torch.cuda.device_count()} of them can be seen here; each process takes one '
                '(CUDA_VISIBLE_DEVICES=-1 runs on the CPU)'
            )
    program = ['-m', 'mmgcvit', args.command, args.config, *args.options, '--launcher', 'pytorch']
    return run_on(nodes, processes, program, environment)


def whole_number(name: str, text: str, least: int) -> int:
    """Read a number that the user gave as ``name``."""
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise UserError(f'{name} must be a whole number of {least} or more, not {text!r}')
    return int(text)


def read_nodes(environment: Mapping[str, str]) -> Nodes:
    """The nodes as the environment variables say; another program must not have the port."""
    from ..engine.processes import LOOPBACK, check_port, free_port
    from .launcher import SECONDS_BETWEEN_BEATS, SECONDS_OF_SILENCE, Nodes

    given = {name: value for name, value in environment.items() if value}
    environment = {OF_TORCH[name]: value for name, value in given.items() if name in OF_TORCH} | given
    if 'NNODES' not in environment and environment.get('WORLD_SIZE', '1') != '1':
        raise UserError(
            f'WORLD_SIZE={environment["WORLD_SIZE"]} is set, and NNODES is not: set NNODES=1 if this node is alone, '
            'and NNODES=$WORLD_SIZE NODE_RANK=$RANK if these count nodes, as in pods of a PyTorchJob'
        )
    # A node that is well may be a few beats late.
    least = int(5 * SECONDS_BETWEEN_BEATS)
    silence = whole_number('NODE_TIMEOUT', environment.get('NODE_TIMEOUT', str(SECONDS_OF_SILENCE)), least)
    count = whole_number('NNODES', environment.get('NNODES', '1'), least=1)
    rank = whole_number('NODE_RANK', environment.get('NODE_RANK', '0'), least=0)
    if rank >= count:
        raise UserError(f'NODE_RANK={rank}, but the {count} nodes of NNODES are counted from 0 to {count - 1}')
    for name in ('NODE_RANK', 'MASTER_ADDR'):
        if count > 1 and name not in environment:
            raise UserError(
                f'NNODES={count} needs {name}: NODE_RANK is 0 to {count - 1}, MASTER_ADDR the address of node 0'
            )
    address = environment['MASTER_ADDR'] if count > 1 else LOOPBACK
    port = whole_number('PORT', environment.get('PORT', str(DEFAULT_PORT if count > 1 else free_port())), least=1)
    if rank == 0:
        check_port('PORT', port)
    return Nodes(count, rank, address, port, silence)


def threads(processes: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Share the cores among the processes; what the user has set stays."""
    number = environment.get('OMP_NUM_THREADS') or str(max(1, len(os.sched_getaffinity(0)) // processes))
    return {'OMP_NUM_THREADS': number, 'MKL_NUM_THREADS': environment.get('MKL_NUM_THREADS') or number}
