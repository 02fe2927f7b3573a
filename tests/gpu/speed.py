"""The benchmarks of docs/performance.md, the most telling ones first, by the command that users call."""

import subprocess
import sys
import tempfile

from .run import seconds_left

SECONDS_TO_END = 3

SMALL = ('--batch', '64', '--rounds', '8')
LARGE = ('--sizes', '800x1333', '--batch', '2', '--rounds', '4')
BOTH = ('--modes', 'infer', 'train')
OTHERS = ('timm:gcvit_tiny', 'swin:tiny', 'convnext:tiny')
WINDOWS = ('gcvit:tiny@24', 'plain:gcvit:tiny@24', 'gcvit:tiny@16', 'plain:gcvit:tiny@16', 'swin:tiny', 'convnext:tiny')
COMPILED = [
    ['gcvit:tiny', *OTHERS, *SMALL, '--modes', 'infer', '--precisions', 'bf16', '--run', 'compiled'],
    ['gcvit:tiny', 'timm:gcvit_tiny', *SMALL, '--modes', 'train', '--precisions', 'bf16', '--run', 'compiled'],
]
TABLES = {
    'cuda': [
        ['gcvit:tiny', 'plain:gcvit:tiny', *OTHERS, *SMALL, *BOTH, '--precisions', 'bf16'],
        [*WINDOWS, *LARGE, *BOTH, '--precisions', 'bf16'],
        *COMPILED,
        ['gcvit:tiny', 'plain:gcvit:tiny', 'timm:gcvit_tiny', *SMALL, *BOTH],
        ['gcvit:tiny@24', 'plain:gcvit:tiny@24', *LARGE, *BOTH],
    ],
    'cpu': [['gcvit:xxtiny@16', 'plain:gcvit:xxtiny@16', '--sizes', '64', '--rounds', '1', '--modes', 'train']],
}


def main(device, *options):
    """``--compile-ahead`` makes what compiling leaves in its cache, so that the tables need not wait for it."""
    tables = TABLES[device]
    if options:
        tables = [[*table, '--rounds', '1', '--no-memory'] for table in COMPILED]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for table in tables:
            command = ['mmgcvit', 'benchmark', 'compare', *table, '--device', device, '--out', folder]
            try:
                failed += bool(
                    subprocess.run(
                        [sys.executable, '-m', *command], timeout=max(seconds_left() - SECONDS_TO_END, 0)
                    ).returncode
                )
            except subprocess.TimeoutExpired:
                sys.stdout.write(f'No time was left for {" ".join(command)}\n\n')
    return failed


if __name__ == '__main__':
    raise SystemExit(main(*sys.argv[1:]))
