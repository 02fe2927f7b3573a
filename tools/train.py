"""Train a model of any task: python tools/train.py CONFIG [options].

The code is in mmgcvit/commands/train.py.
"""

from mmgcvit.commands.train import main

if __name__ == '__main__':
    main()
