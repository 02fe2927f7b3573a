"""A fixture for the tests of runs."""

import signal

import pytest


@pytest.fixture(autouse=True)
def python_interrupts():
    """Let SIGINT raise a KeyboardInterrupt: a shell lets background jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
