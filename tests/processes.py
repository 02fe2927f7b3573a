"""Several processes that join over gloo, without a launcher: none of them is ended because another has ended."""

import os
import socket

import torch.distributed as dist

from . import fork_server

SECONDS_TO_END = 60


def free_port():
    """A port that no program has."""
    with socket.socket() as probe:
        probe.bind(('', 0))
        return probe.getsockname()[1]


def answers_of(function, arguments, environments=({}, {})):
    """What a function, which can be imported, returns in each process of a group, given arguments for each by rank."""
    fork_server.ensure_running()
    answers = fork_server.CONTEXT.Queue()
    common = {'WORLD_SIZE': str(len(arguments)), 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(free_port())}
    processes = [
        fork_server.CONTEXT.Process(target=answer, args=(function, own, {**common, 'RANK': str(rank), **more}, answers))
        for rank, (own, more) in enumerate(zip(arguments, environments, strict=True))
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
    """What one of the processes does."""
    os.environ.update(environment)
    dist.init_process_group('gloo')
    answers.put((dist.get_rank(), function(*arguments)))
