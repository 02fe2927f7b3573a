"""The error that inference raises, and how commands say it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..checkpoints.errors import CheckpointError, printable
from ..cli.full_disk import is_full_disk


class InputError(ValueError):
    """Something that was given cannot be used: an image, a device, a folder. The message is one sentence that names it.

    Characters that would do something to a terminal, as names of files may hold, are written out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


@contextmanager
def in_a_sentence(command: str, out_dir: Path | None = None) -> Iterator[None]:
    """Have a command say in one sentence what it cannot do.

    Args:
        command: Its name, which the sentence begins with.
        out_dir: Where a full disk leaves what was done until then.

    Raises:
        SystemExit: In the block something could not be used, a file or folder could not be read or written, or the
            disk that has ``out_dir`` is full.
    """
    try:
        yield
    except (InputError, CheckpointError) as error:
        raise SystemExit(f'{command}: {error}') from None
    except OSError as error:
        if out_dir is not None and is_full_disk(error):
            raise SystemExit(f'{command}: {error.strerror}; {out_dir} has what was done until then') from None
        # Without a file's name the user cannot tell what to do: that one is for those who mend the program.
        if error.filename is None:
            raise
        raise SystemExit(f'{command}: {printable(f"{error.filename}: {error.strerror}")}') from None
