"""A forked program is to itself what a new process would be."""

import os
import sys

from . import fork_server, programs

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
