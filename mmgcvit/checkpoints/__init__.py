"""Read, convert, load and save checkpoints of the backbones.

Start with :mod:`.reading`, which reads files, URLs and timm's models, and :mod:`.translating`,
which maps keys of other implementations. :mod:`.unpickling` keeps files from running code. This
subpackage does not import ``models``.
"""
