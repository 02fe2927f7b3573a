"""Train the rows of a paper's ablation with several seeds: python tools/ablate.py TABLE [options].

The code is in mmgcvit/commands/ablate.py.
"""

from mmgcvit.commands.ablate import main

if __name__ == '__main__':
    main()
