"""The fuzzer's command line."""

import argparse
import logging
import multiprocessing
import random
import shutil
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import mmengine.runner.runner
import mmengine.utils.version_utils
import torch
from mmengine.config import Config

from mmgcvit.checkpoints import read_checkpoint

from . import commands
from .judging import judge
from .mutations import MUTATIONS
from .sandbox import Sandbox
from .seeds import make_seeds

# A process that lives longer collects what mmengine keeps of every run.
FILES_A_PROCESS = 100
SECONDS_A_FILE = 120
OF_REFUSED_ALL_WAYS = 10


def parse_args():
    parser = argparse.ArgumentParser(prog='python -m tests.checkpoints.fuzzer', description='Fuzz checkpoint files.')
    parser.add_argument('--files', type=int, default=10**9, help='how many files at most')
    parser.add_argument('--hours', type=float, default=10**9, help='how long at most')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--first', type=int, default=0, help='begin with this file')
    parser.add_argument('--keep', type=Path, default=Path('fuzzed'), help='where files that failed are kept')
    return parser.parse_args()


def quicken():
    """Leave out what a run says of its environment and its config: most of the time of a run of two images."""
    warnings.simplefilter('ignore')
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    mmengine.runner.runner.collect_env = dict
    mmengine.utils.version_utils._minimal_ext_cmd = lambda _: bytes(40)
    Config.pretty_text = property(lambda self: 'a config')
    Config.dump = lambda self, file: None


def make_file(number, seed, seeds, target):
    """The file of a number, always the same for a seed; the mutation, and the whole file that it was made of."""
    choose = random.Random(f'{seed}/{number}')
    mutation = list(MUTATIONS)[number % len(MUTATIONS)]
    source = seeds[choose.choice(MUTATIONS[mutation])]
    for path in target.parent.glob(f'{target.name}*'):
        path.unlink()
    mutation(source, target, choose)
    return mutation, source


def work(numbers, seed, sandbox, seeds, answers):
    """What a child does: judge files, telling of each before it begins and after it has ended."""
    sandbox.watch()
    target = sandbox.folder / 'fuzzed.pth'
    for number in numbers:
        mutation, source = make_file(number, seed, seeds, target)
        answers.send((number, mutation.__name__, None))
        whole = read_checkpoint(str(source)) if mutation.__name__ == 'changed_bytes' else None
        verdict = judge(target, whole, sandbox, number // len(MUTATIONS) % OF_REFUSED_ALL_WAYS == 0)
        answers.send((number, mutation.__name__, verdict))
    answers.send(None)


def main():
    args = parse_args()
    quicken()
    sandbox = Sandbox()
    seeds = make_seeds(sandbox)
    warm_up(sandbox, seeds)
    tally, worst, ways, failed = Counter(), 0, 0, 0
    number, end = args.first, time.monotonic() + args.hours * 3600
    while number < args.first + args.files and time.monotonic() < end:
        numbers = range(number, min(number + FILES_A_PROCESS, args.first + args.files))
        for number, mutation, verdict in answers_of(numbers, args.seed, sandbox, seeds, end):
            tally[f'{mutation}: files'] += 1
            for name in verdict.accepted:
                tally[f'{mutation}: accepted by {name}'] += 1
            for name in verdict.refused:
                tally[f'{mutation}: refused by {name}'] += 1
            worst = max(worst, verdict.memory)
            ways += len(verdict.accepted) + len(verdict.refused)
            if verdict.faults:
                failed += 1
                keep(args, number, mutation, verdict, sandbox, seeds)
        number += 1
    for name in sorted(tally):
        print(f'{tally[name]:8,} {name}')
    total = sum(count for name, count in tally.items() if name.endswith('files'))
    print(f'{total:,} files, {ways:,} readings, {failed} failed; {worst >> 20} MB of memory at most')
    shutil.rmtree(sandbox.root)
    sys.exit(bool(failed))


def warm_up(sandbox, seeds):
    """Every way once with whole files, so that what it imports and opens is there before anyone watches."""
    for name in ('run.pth', 'weights.safetensors', 'before_zip.pth'):
        for way in (commands.read, *commands.LIGHT):
            way(seeds[name], sandbox)
    for way in commands.HEAVY:
        way(seeds['run.pth'], sandbox)


def answers_of(numbers, seed, sandbox, seeds, end):
    """The verdicts over some files, each child replaced where it crashes or hangs."""
    context = multiprocessing.get_context('fork')
    numbers = list(numbers)
    while numbers and time.monotonic() < end:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=work, args=(numbers, seed, sandbox, seeds, theirs))
        child.start()
        theirs.close()
        begun = None
        while True:
            try:
                answer = ours.recv() if ours.poll(SECONDS_A_FILE) else 'hangs'
            except EOFError:
                answer = 'crashed'
            if answer is None or isinstance(answer, str):
                break
            number, mutation, verdict = answer
            begun = number, mutation
            if verdict is not None:
                numbers.remove(number)
                yield number, mutation, verdict
                if time.monotonic() > end:
                    answer = None
                    break
        child.kill()
        child.join()
        if answer is None:
            return
        number, mutation = begun
        numbers.remove(number)
        yield number, mutation, fault(f'the process {answer} (exit code {child.exitcode})')


def fault(what):
    from .judging import Verdict

    return Verdict(faults=[what])


def keep(args, number, mutation, verdict, sandbox, seeds):
    """Keep a file that failed, and say why."""
    args.keep.mkdir(exist_ok=True)
    path = args.keep / f'{args.seed}-{number}.pth'
    make_file(number, args.seed, seeds, sandbox.folder / 'kept.pth')
    shutil.copy(sandbox.folder / 'kept.pth', path)
    print(f'FAILED {path} ({mutation}; --seed {args.seed} --first {number} --files 1)')
    for what in verdict.faults:
        print(f'    {what}', flush=True)


if __name__ == '__main__':
    main()
