"""A page on which one tries models in a browser: python tools/web.py --build FOLDER | CONFIG [CHECKPOINT] [options].

The code is in mmgcvit/commands/web.py.
"""

from mmgcvit.commands.web import main

if __name__ == '__main__':
    main()
