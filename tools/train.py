"""Train a model of any task: python tools/train.py CONFIG [options].

The code is in mmgcvit/engine/train.py.
"""

from mmgcvit.commands.main import run_command

if __name__ == '__main__':
    run_command('train')
