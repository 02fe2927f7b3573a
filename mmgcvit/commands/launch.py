"""Train or test on several GPUs, or in several processes where there is no GPU, with torch's launcher.

    mmgcvit launch GPUS train CONFIG [options of mmgcvit train]
    mmgcvit launch GPUS test CONFIG CHECKPOINT [options of mmgcvit test]

tools/dist_train.sh and tools/dist_test.sh call it.

Environment variables, as for mmdet's scripts:
    NNODES        How many nodes take part (default 1); the script is called on each.
    NODE_RANK     Which of them this one is, from 0.
    MASTER_ADDR   The address of node 0.
    PORT          A port of node 0, by which processes find each other (default: a free one, with several nodes 29500).
"""

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..cli.nodes import run_beside_other_nodes

LOOPBACK = '127.0.0.1'
DEFAULT_PORT = 29500
COMMANDS = ('train', 'test')


class Nodes(NamedTuple):
    """The machines that take part, and which one this is."""

    count: int
    rank: int
    address: str
    port: int


def main() -> None:
    if len(sys.argv) < 4 or sys.argv[2] not in COMMANDS:
        raise SystemExit(__doc__)
    processes, name, config, *arguments = sys.argv[1:]
    processes = whole_number('GPUS', processes, least=1)
    check_config(config)
    nodes = read_nodes(os.environ)
    environment = os.environ | threads(processes, os.environ)
    check_gpus(processes)
    program = ['-m', f'mmgcvit.commands.{name}', config, *arguments, '--launcher', 'pytorch']
    command = [*launcher(nodes, processes), *program]
    if nodes.count == 1:
        os.execve(command[0], command, environment)
    run_beside_other_nodes(command, environment, nodes)


def launcher(nodes: Nodes, processes: int) -> list[str]:
    """The call of torch's launcher, up to the program that it starts."""
    return [
        sys.executable,
        '-m',
        'torch.distributed.run',
        f'--nnodes={nodes.count}',
        f'--node_rank={nodes.rank}',
        f'--master_addr={nodes.address}',
        f'--master_port={nodes.port}',
        f'--nproc_per_node={processes}',
        '--max_restarts=0',
    ]


def whole_number(name: str, text: str, least: int) -> int:
    """Read a number that the user gave as ``name``.

    Raises:
        SystemExit: It is none, or less than ``least``.
    """
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise SystemExit(f'{name} must be a whole number of {least} or more, not {text!r}')
    return int(text)


def check_gpus(processes: int) -> None:
    """Refuse more processes than the machine has GPUs; without GPUs there may be any number."""
    import torch

    count = torch.cuda.device_count()
    if torch.cuda.is_available() and processes > count:
        raise SystemExit(
            f'GPUS={processes}, but {count} of them can be seen here; each process takes one '
            '(CUDA_VISIBLE_DEVICES=-1 runs on the CPU)'
        )


def check_config(config: str) -> None:
    """Refuse a config that does not exist once, instead of in every process."""
    if not Path(config).is_file():
        raise SystemExit(f'there is no config {config}; the configs of this project are under configs/')


def read_nodes(environment: Mapping[str, str]) -> Nodes:
    """The nodes as the environment variables say.

    Raises:
        SystemExit: A variable is missing or makes no sense, or another program has the port.
    """
    count = whole_number('NNODES', environment.get('NNODES') or '1', least=1)
    rank = whole_number('NODE_RANK', environment.get('NODE_RANK') or '0', least=0)
    if rank >= count:
        raise SystemExit(f'NODE_RANK={rank}, but the {count} nodes of NNODES are counted from 0 to {count - 1}')
    for name in ('NODE_RANK', 'MASTER_ADDR'):
        if count > 1 and not environment.get(name):
            raise SystemExit(
                f'NNODES={count} needs {name}: NODE_RANK is 0 to {count - 1}, MASTER_ADDR the address of node 0'
            )
    address = environment.get('MASTER_ADDR') or LOOPBACK
    port = whole_number('PORT', environment.get('PORT') or str(DEFAULT_PORT if count > 1 else free_port()), least=1)
    if rank == 0:
        check_port(port)
    return Nodes(count, rank, address, port)


def free_port() -> int:
    """A port that no program has."""
    with socket.socket() as probe:
        probe.bind(('', 0))
        return probe.getsockname()[1]


def check_port(port: int) -> None:
    """Refuse a port that another program has, or that there is not."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(('', port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, 'strerror', None) or 'there are ports 1 to 65535'
        raise SystemExit(f'PORT={port} cannot be used ({reason}); set PORT to a free one') from None


def threads(processes: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Share the cores among the processes; what the user has set stays."""
    number = environment.get('OMP_NUM_THREADS') or str(max(1, len(os.sched_getaffinity(0)) // processes))
    return {'OMP_NUM_THREADS': number, 'MKL_NUM_THREADS': environment.get('MKL_NUM_THREADS') or number}


if __name__ == '__main__':
    main()
