"""Count a model's parameters and multiply-adds: python tools/get_flops.py CONFIG --shape HEIGHT WIDTH.

The code is in mmgcvit/commands/get_flops.py.
"""

from mmgcvit.commands.get_flops import main

if __name__ == '__main__':
    main()
