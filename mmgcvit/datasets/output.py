"""Data sets are written whole or not at all, and never over what their tool did not make."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def is_up_to_date(out: Path, options_file: str, options: Mapping[str, Any]) -> bool:
    """Whether a folder holds the very set that these options make.

    Raises:
        SystemExit: There is something that the tool did not make.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    made_with = out / options_file
    if not made_with.is_file():
        raise SystemExit(f'{out} exists and was not made by this tool; name another folder, or remove it first')
    return json.loads(made_with.read_text()) == options


@contextmanager
def replaced_whole(out: Path, options_file: str, options: Mapping[str, Any]) -> Iterator[Path]:
    """A folder to write to, beside its place and moved there at the end: an interrupted run leaves what was there.

    Raises:
        SystemExit: It cannot be written, as on a full disk.
    """
    unfinished = out.with_name(out.name + '.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        (unfinished / options_file).write_text(json.dumps(options))
        shutil.rmtree(out, ignore_errors=True)
        unfinished.rename(out)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise SystemExit(f'{out} could not be written: {error}. Make room, or name another folder') from None
