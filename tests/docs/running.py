"""Run the command lines of pages."""

import shlex

from ..conftest import ROOT
from ..tools.commands import call


def run_command(folder, command, fails=False):
    """Run a command line in a folder, in a process with imported packages; return its output."""
    program, *words = shlex.split(command, comments=True)
    if program == 'mmgcvit':
        words = ['-m', 'mmgcvit', *words]
    return call('', *words, fails=fails, folder=folder, PYTHONPATH=str(ROOT))
