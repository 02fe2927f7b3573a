"""``python -m mmgcvit train CONFIG``: what the console command ``mmgcvit`` does, with this very Python."""

from .commands.main import main

if __name__ == '__main__':
    main()
