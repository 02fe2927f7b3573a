"""A trained model as a file of ONNX: python tools/export.py CONFIG [CHECKPOINT] OUT.onnx [options].

The code is in mmgcvit/commands/export.py.
"""

from mmgcvit.commands.export import main

if __name__ == '__main__':
    main()
