"""Let any Python run the console command ``mmgcvit``: ``python -m mmgcvit train CONFIG``."""

from .commands.main import main

if __name__ == '__main__':
    main()
