"""Read, convert, load and save checkpoints of the backbones.

Start with :mod:`.reading`, which reads files, URLs and timm's models, and :mod:`.translating`,
which maps keys of other implementations. :mod:`.unpickling` keeps files from running code. This
subpackage finds networks by the registry only, and does not name ``models`` in an import.

Functions called ``read_...`` return the content of a file, a URL or a run. Those called
``load_...`` put tensors into a model.
"""
