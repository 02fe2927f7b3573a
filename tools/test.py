"""Test a model of any task: python tools/test.py CONFIG CHECKPOINT [options].

The code is in mmgcvit/engine/test.py.
"""

from mmgcvit.commands.main import run_command

if __name__ == '__main__':
    run_command('test')
