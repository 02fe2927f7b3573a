"""What the first GPU is to tell, most important first, in one report of Markdown: python -m tests.gpu.run.

On the standard library alone, so that it starts wherever Python, torch and NumPy are: what else is needed, and is not
there, is unpacked from a folder of wheels (``wheels.py`` gathers them). Each part is a process with its share of the
time: what one leaves over the next ones have, and one that fails, hangs or loses the device ends alone. The report is
written after every part, to $OUT/gpu_report.md or build/gpu_report.md. Ends with code 1 where a part has failed.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

from ..programs import ROOT, started

LINES_OF_AN_ERROR = 25
STARTED_FIRST = ROOT / 'tests' / 'gpu' / 'start'
# When the part that reads it is to have ended, in seconds as time.time() counts them.
ENDS = 'GPU_PART_ENDS'


class Part(NamedTuple):
    """A part of the report: its heading, the arguments to Python, its share of the time in seconds."""

    heading: str
    program: list
    seconds: float
    alone: bool = False  # it measures: what computes in the background is ended before
    may_be_cut: bool = False  # takes what time is left


def parts_on(device):
    """All parts; on a CPU they rehearse: the same ways through the code, as small as they get."""

    def part(heading, name, on_gpu, on_cpu, *arguments, **options):
        program = ['-m', f'tests.gpu.{name}', device, *arguments]
        return Part(heading, program, on_gpu if device == 'cuda' else on_cpu, **options)

    networks = ['tests/models', 'tests/checkpoints/test_loading.py', 'tests/inference/test_predictor.py']
    if device == 'cpu':
        networks = ['tests/models/layers/test_attention.py']
    every = [
        part('The machine', 'machine', 40, 120),
        part('Fake CUDA tensors beside real ones', 'fake', 40, 120),
        part('Networks beside float64 and plain formulations', 'checks', 80, 120, *networks),
        part("Fallbacks of mmcv's operators", 'checks', 25, 120, 'tests/ops/test_fallback.py'),
        part('Training of each family', 'families', 110, 240),
        part('Speed of backbones', 'speed', 95, 120, alone=True),
        part('Memory and time of training steps', 'memory', 85, 120, alone=True),
        part('Where a training step goes', 'steps', 40, 120, alone=True),
        part('Networks compiled', 'checks', 15, 0, '--long', *networks, may_be_cut=True),
        Part('The demo', ['-m', 'mmgcvit', 'demo', 'detect'], 10 if device == 'cuda' else 0, may_be_cut=True),
    ]
    return [part for part in every if part.seconds]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--device', choices=('cuda', 'cpu'), default='cuda', help='cpu rehearses (default: %(default)s)'
    )
    parser.add_argument('--wheels', type=Path, metavar='FOLDER', help='of what this Python may lack')
    args = parser.parse_args()
    if args.wheels and not args.wheels.is_dir():
        parser.error(f'--wheels: there is no folder {args.wheels}')
    sys.stdout.reconfigure(errors='replace')  # where the terminal lacks a character
    target = Path(os.environ.get('OUT') or ROOT / 'build') / 'gpu_report.md'
    with tempfile.TemporaryDirectory() as folder:
        said = unpack(args.wheels, Path(folder)) if args.wheels else ''
        path = os.pathsep.join([str(ROOT), str(STARTED_FIRST), folder, *filter(None, [os.environ.get('PYTHONPATH')])])
        own = {'PYTHONPATH': path, 'PYTHONUTF8': '1'}
        if args.device == 'cpu':  # a rehearsal: small tensors, nothing compiled, beside other programs
            return run(parts_on('cpu'), target, os.environ | own | {'OMP_NUM_THREADS': '1'}, said=said)
        return run(
            parts_on('cuda'), target, os.environ | own, ['-m', 'tests.gpu.speed', 'cuda', '--compile-ahead'], said
        )


def unpack(wheels, folder):
    """Unpack the wheels that fit this Python, of packages that it lacks; say which they were."""
    there, unpacked = set(), {}
    for wheel in sorted(wheels.glob('*.whl')):
        name, number, *_, tags, abi, _ = wheel.stem.split('-')
        try:
            version(name)
            there.add(name)
        except PackageNotFoundError:
            unpacked.setdefault(name, '')
            if fits(tags, abi):
                ZipFile(wheel).extractall(folder)
                unpacked[name] = f'{name} {number}'
    missing = [name for name, what in unpacked.items() if not what]
    lines = [f'Unpacked: {", ".join(filter(None, unpacked.values())) or "nothing"}.']
    if missing:
        lines.append(f'**No wheel fits Python {sys.version.split()[0]}: {", ".join(missing)}.**')
    return '\n'.join(lines)


def fits(tags, abi):
    """Whether this Python imports a wheel of such tags; all are of this platform."""
    minor = sys.version_info.minor
    compiled_for = [int(found) for found in re.findall(r'cp3(\d+)', tags)]
    return 'py3' in tags.split('.') or minor in compiled_for or (abi == 'abi3' and min(compiled_for) <= minor)


def run(parts, target, environment, ahead=None, said=''):
    """Run parts one after the other, and write and print the report; the exit code."""
    target.parent.mkdir(parents=True, exist_ok=True)
    rows, sections, until = [], [], time.time()
    with ExitStack() as background:
        if ahead:
            silent = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
            background.enter_context(started(['nice', sys.executable, *ahead], environment, **silent))
        for part in parts:
            if part.alone:
                background.close()
            until += part.seconds
            began = time.time()
            outcome, text = run_part(part, until, environment)
            took = f'{time.time() - began:.0f} s'
            rows.append(f'| {part.heading} | {outcome} | {took} |')
            sections.append(f'\n## {part.heading}: {outcome}, {took}\n\n{text}')
            head = ['# What make test-gpu found', '', said, '', '| part | outcome | time |', '|---|---|---|', *rows]
            target.write_text('\n'.join([*head, *sections, '']), encoding='utf-8')
            sys.stdout.write(f'{sections[-1]}\n')
            sys.stdout.flush()
    sys.stdout.write('\n'.join(['', said, *rows, '', f'The report: {target}', '']))
    return int(any('FAILED' in row for row in rows))


def run_part(part, until, environment):
    """Run a part until it ends or is to have ended; how it went, and what it printed."""
    # One that is killed may leave half a character.
    file = partial(tempfile.TemporaryFile, 'w+', encoding='utf-8', errors='replace')
    with file() as output, file() as errors:
        options = {'stdout': output, 'stderr': errors}
        with started(
            [sys.executable, '-W', 'ignore', *part.program], environment | {ENDS: str(until)}, **options
        ) as process:
            try:
                code = process.wait(max(until - time.time(), 1))
            except subprocess.TimeoutExpired:
                code = None
        output.seek(0)
        errors.seek(0)
        text, last = output.read().strip(), errors.read().splitlines()[-LINES_OF_AN_ERROR:]
    if code == 0:
        return 'ok', text
    if code is None and part.may_be_cut:
        return 'cut', text
    outcome = 'FAILED, not ended in time' if code is None else f'FAILED, exit code {code}'
    return outcome, '\n'.join([text, '', '```', *last, '```'])


def seconds_left():
    """What the part that asks has of its time."""
    return float(os.environ.get(ENDS, 'inf')) - time.time()


if __name__ == '__main__':
    raise SystemExit(main())
