"""Test a model of any task: python tools/test.py CONFIG CHECKPOINT [options].

The code is in mmgcvit/commands/test.py.
"""

from mmgcvit.commands.test import main

if __name__ == '__main__':
    main()
