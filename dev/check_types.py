#!/usr/bin/env python3
"""Check the types of the package with mypy, for ``make types``.

``type_errors.txt`` has the number of errors in each file. It may only fall: with more errors in a
file, the script prints all of that file. With fewer, it asks for ``--lower``, which writes the
lower numbers. A file that is not listed may have none. pyproject.toml has mypy's settings.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COUNTS = Path(__file__).with_name('type_errors.txt')
ERROR = re.compile(r'^(?P<file>[^:]+\.py):\d+: error: ')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--lower', action='store_true', help='write the numbers that are lower')
    args = parser.parse_args()
    errors = group_by_file(run_mypy())
    allowed = read_counts(COUNTS)
    if args.lower:
        write_counts(COUNTS, lower_counts(errors, allowed))
        allowed = read_counts(COUNTS)
    problems = list_problems(errors, allowed)
    print('\n'.join(problems))
    print(f'type errors: {sum(map(len, errors.values()))}, allowed: {sum(allowed.values())}')
    sys.exit(bool(problems))


def run_mypy() -> list[str]:
    """Return the lines that mypy prints about the package. Exit if it fails."""
    command = [sys.executable, '-m', 'mypy', '--no-error-summary']
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode not in (0, 1):  # 1: there are type errors
        sys.exit(ended.stdout + ended.stderr)
    return ended.stdout.splitlines()


def group_by_file(lines: Sequence[str]) -> dict[str, list[str]]:
    """Return the lines of errors, without notes, by file."""
    errors: dict[str, list[str]] = {}
    for line in lines:
        match = ERROR.match(line)
        if match:
            errors.setdefault(match['file'], []).append(line)
    return errors


def list_problems(errors: Mapping[str, Sequence[str]], allowed: Mapping[str, int]) -> list[str]:
    """Return the errors of files with more than allowed, and a line for each with fewer."""
    problems = []
    for file in sorted({*errors, *allowed}):
        lines = errors.get(file, [])
        count = allowed.get(file, 0)
        if len(lines) > count:
            problems += [
                *lines,
                f'{file}: {len(lines)} type errors, more than {count}. Correct them',
            ]
        elif len(lines) < count:
            problems.append(
                f'{file}: {len(lines)} type errors, fewer than {count}. Run: python '
                'dev/check_types.py --lower'
            )
    return problems


def lower_counts(errors: Mapping[str, Sequence[str]], allowed: Mapping[str, int]) -> dict[str, int]:
    """Return the allowed number of errors of each file, or the present one where it is lower."""
    return {file: min(count, len(errors.get(file, []))) for file, count in allowed.items()}


def read_counts(path: Path) -> dict[str, int]:
    """Read lines of the form NUMBER FILE."""
    counts = {}
    for line in path.read_text().splitlines():
        count, file = line.split()
        counts[file] = int(count)
    return counts


def write_counts(path: Path, counts: Mapping[str, int]) -> None:
    """Write a line for each file that has errors."""
    path.write_text(''.join(f'{count} {file}\n' for file, count in sorted(counts.items()) if count))


if __name__ == '__main__':
    main()
