"""A trained model's weights, to give to others: python tools/publish.py CONFIG [CHECKPOINT] OUT.safetensors [--half].

The code is in mmgcvit/commands/publish.py.
"""

from mmgcvit.commands.publish import main

if __name__ == '__main__':
    main()
