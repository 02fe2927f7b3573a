"""The tests that take a device, on it: a row of a table for each, as soon as it has ended."""

import os
import sys
from contextlib import redirect_stdout

import pytest

from .machine import say
from .run import seconds_left

SECONDS_OF_ONE = 5
# What of them a rehearsal runs, on a CPU: all of them run there in make test.
REHEARSED = 'near_float64 or (nms and definition) or deformable'


class Rows:
    """A plugin of pytest that prints as the tests go on: whatever ends them later, those before are known."""

    def __init__(self):
        say('test', 'passed', 'failed', 'skipped', 'time', 'error')
        say(*['---'] * 6)
        self.begin(None)
        self.left_out = 0

    def begin(self, test):
        self.test, self.error, self.seconds = test, '', 0.0
        self.counts = {'passed': 0, 'failed': 0, 'skipped': 0}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self):
        if seconds_left() < SECONDS_OF_ONE:
            self.left_out += 1
            pytest.skip('no time was left')

    def pytest_runtest_logreport(self, report):
        test, _, case = report.nodeid.removeprefix('tests/').partition('[')
        if test != self.test:
            self.end()
            self.begin(test)
        self.seconds += report.duration
        if report.when == 'call' or report.outcome != 'passed':
            self.counts[report.outcome] += 1
        if report.failed and not self.error:
            lines = str(getattr(report.longrepr, 'reprcrash', None) or report.longrepr).splitlines()
            self.error = f'{case.removesuffix("]")}: {lines[0]}'.replace('|', '\\|')

    def end(self):
        """Print the row of the test that has ended."""
        if self.test:
            say(self.test, *self.counts.values(), f'{self.seconds:.1f} s', self.error)

    def pytest_sessionfinish(self):
        self.end()
        if self.left_out:
            sys.__stdout__.write(f'\nNo time was left for {self.left_out} more, which are among those skipped.\n')


def main(device, *selection):
    long = '--long' in selection
    paths = [path for path in selection if path != '--long']
    chosen = ['-m', f'gpu and {"" if long else "not "}long'] if device == 'cuda' else ['-k', REHEARSED]
    # Those of other projects, which may be there.
    os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'
    # Verbose, so that the last line names the test that never ended.
    options = ['-v', '-p', 'no:cacheprovider', '--tb=short', '--continue-on-collection-errors']
    with redirect_stdout(sys.stderr):
        return pytest.main([*options, *chosen, *paths], [Rows()])


if __name__ == '__main__':
    raise SystemExit(main(*sys.argv[1:]))
