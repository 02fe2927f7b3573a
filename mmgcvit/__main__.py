"""Run the console command ``mmgcvit`` with a chosen Python: ``python -m mmgcvit train CONFIG``."""

from .commands.main import main

if __name__ == '__main__':
    main()
