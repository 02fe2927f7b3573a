"""Use a trained model on one's own pictures: python tools/predict.py CONFIG CHECKPOINT INPUT ... [options].

The code is in mmgcvit/commands/predict.py.
"""

from mmgcvit.commands.predict import main

if __name__ == '__main__':
    main()
