"""A forked program is to itself what a new process would be, and what tests start ends with them."""

import os
import subprocess
import sys

import pytest

from . import fork_server, programs

# Starts a process that leaves group, session and parent behind, as torch's launcher does with its own, and waits.
ESCAPING = 'setsid --fork sleep 1000; echo started; sleep 1000; true'
SEEN = """
import os, sys, torch
print(__name__, sys.argv[1:], sys.path[0], os.environ.get('GIVEN'), os.getcwd(), torch.cuda.is_initialized())
print('words', file=sys.stderr)
os.environ['GIVEN'] = 'changed'
sys.exit('a sentence')
"""


def test_a_forked_program_prints_and_ends_as_a_new_process_does(tmp_path):
    path, environment = tmp_path / 'script.py', os.environ | {'GIVEN': 'value'}
    path.write_text(SEEN)
    new = programs.run([sys.executable, path, 'a', 1], environment)
    # Nor does one of them change anything for the next.
    for _ in range(2):
        forked = fork_server.run(path, 'a', 1, environment=environment)
        assert (forked.returncode, forked.stdout, forked.stderr) == (new.returncode, new.stdout, new.stderr)


def test_what_a_test_starts_ends_with_it_wherever_it_has_gone(tmp_path):
    with programs.started(['bash', '-c', ESCAPING], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b'started\n'
        assert len(list(programs.running(process))) >= 2
    assert not list(programs.running(process))
    with pytest.raises(AssertionError, match=r'not ended after 1 s: (.|\n)*started'):
        programs.run(['bash', '-c', ESCAPING], timeout=1)
