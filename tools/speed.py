"""Images per second and memory of a whole model: python tools/speed.py CONFIG [CHECKPOINT] [options].

The code is in mmgcvit/commands/speed.py.
"""

from mmgcvit.commands.speed import main

if __name__ == '__main__':
    main()
