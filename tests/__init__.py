"""The tests. mmengine, which must be imported after this, writes and logs configs as they are, not
formatted by yapf.

It does so several times a run, each a second of work: half of what a run of two iterations takes.
That its formatting works is seen in the processes of tests that start real ones.
"""

from contextlib import suppress


def identity(text, **_):
    return text, True


# A GPU's machine may have none.
with suppress(ImportError):
    from yapf.yapflib import yapf_api

    yapf_api.FormatCode = identity
