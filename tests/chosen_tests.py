"""By which tests a mutant is judged: plugins of pytest that watch a code's tests, and then run those of one function.

A test concerns a function if it calls it, or if a fixture of its file does, or if it starts a process, in which nothing
is watched. What is not in a function runs when it is imported, and concerns all tests.
"""

import ast
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest

# What is quick, in seconds.
QUICK = 1
# How many times as long as with the code as it is a test may take, and how many seconds besides.
PATIENCE, GRACE = 10, 60
# Python's audit events of starting a process, or of asking a server of processes for one.
STARTS = {'subprocess.Popen', 'os.fork', 'os.forkpty', 'os.posix_spawn', 'socket.connect'}
ANY_FUNCTION = ''


class Watch:
    """How long tests take and what they call.

    Args:
        root: Of the repository.
        code: The folder or file of it whose functions are watched.

    Attributes:
        seconds: By the name of the test.
        calls: Functions as :func:`function_at` calls them, by the name of the test.
    """

    def __init__(self, root, code):
        self.root = f'{root}/'
        self.code = str(root / code)
        self.seconds = {}
        self.calls = {}
        self.of_fixtures = defaultdict(set)
        self.called = set()
        sys.addaudithook(self.hear)

    def hear(self, event, _):
        if event in STARTS:
            self.called.add(ANY_FUNCTION)

    def see(self, frame, event, _):
        if event == 'call' and frame.f_code.co_filename.startswith(self.code):
            self.called.add(f'{frame.f_code.co_filename.removeprefix(self.root)}:{frame.f_code.co_firstlineno}')

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.called = set()
        began = time.monotonic()
        threading.setprofile(self.see)
        sys.setprofile(self.see)
        result = yield
        sys.setprofile(None)
        self.seconds[item.nodeid] = time.monotonic() - began
        self.calls[item.nodeid] = self.called
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item):
        result = yield
        self.of_fixtures[item.path] |= self.called
        return result

    def pytest_sessionfinish(self, session):
        for item in session.items:
            self.calls[item.nodeid] = sorted(self.calls.get(item.nodeid, set()) | self.of_fixtures[item.path])


class Choice:
    """The tests that concern a function: quick ones first, of these those of one file, none longer than its patience.

    Args:
        function: As :func:`function_at` calls it.
        own: The name of a file of tests.
        seconds: As a :class:`Watch` has measured.
        calls: See ``seconds``.
    """

    def __init__(self, function, own, seconds, calls):
        self.function = function
        self.own = own
        self.seconds = seconds
        self.calls = calls

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if self.concerns(item)]
        items.sort(key=lambda item: (self.seconds.get(item.nodeid, 0) > QUICK, item.path.name != self.own))

    def concerns(self, item):
        calls = self.calls.get(item.nodeid, ())
        return self.function in (None, *calls) or ANY_FUNCTION in calls

    def pytest_sessionstart(self):
        # What is imported before the first test may not end either.
        signal.setitimer(signal.ITIMER_REAL, PATIENCE * GRACE)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        signal.setitimer(signal.ITIMER_REAL, PATIENCE * self.seconds.get(item.nodeid, 0) + GRACE)
        result = yield
        signal.setitimer(signal.ITIMER_REAL, 0)
        return result


def function_at(file: Path, line: int, source: str):
    """The function that a line is in, as ``FILE:LINE`` where it begins, decorators included; None outside of all."""
    inside = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.body[0].lineno <= line <= node.end_lineno
    ]
    if not inside:
        return None
    innermost = max(inside, key=lambda node: node.lineno)
    return f'{file}:{min(node.lineno for node in (innermost, *innermost.decorator_list))}'
