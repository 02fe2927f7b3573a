"""Run several ranks over gloo without a launcher, so that one that ends does not end the others."""

import os
import socket

import torch.distributed as dist

from . import fork_server

SECONDS_TO_END = 120


def free_port():
    """Return a port that is not in use."""
    with socket.socket() as probe:
        probe.bind(('', 0))
        return probe.getsockname()[1]


def run_on_ranks(function, arguments):
    """Call an importable function on each rank with its own arguments; return the results by rank."""
    fork_server.ensure_running()
    answers = fork_server.CONTEXT.Queue()
    common = {'WORLD_SIZE': str(len(arguments)), 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(free_port())}
    processes = [
        fork_server.CONTEXT.Process(target=answer, args=(function, own, common | ranks, answers))
        for own, ranks in zip(arguments, ({'RANK': rank, 'LOCAL_RANK': rank} for rank in '01'), strict=True)
    ]
    try:
        for process in processes:
            process.start()
        return [value for _, value in sorted(answers.get(timeout=SECONDS_TO_END) for _ in processes)]
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()


def answer(function, arguments, environment, answers):
    """Join the process group and call the function on this rank."""
    os.environ.update(environment)
    dist.init_process_group('gloo')
    answers.put((dist.get_rank(), function(*arguments)))
