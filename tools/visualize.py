"""Pictures that explain a trained network: python tools/visualize.py KIND CONFIG CHECKPOINT IMAGE [options].

The code is in mmgcvit/commands/visualize.py.
"""

from mmgcvit.commands.visualize import main

if __name__ == '__main__':
    main()
