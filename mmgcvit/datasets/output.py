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
        SystemExit: It cannot be written, as on a full disk; or is the current folder, or stands beside one that is none
            of this tool's.
    """
    out = out.absolute()
    if out == Path.cwd():
        raise SystemExit(f'{out} is the current folder, and would be replaced; name one in it')
    unfinished = out.with_name(out.name + '.unfinished')
    marker = unfinished / f'{options_file}.unfinished'
    if unfinished.exists() and not marker.is_file():
        raise SystemExit(f'{unfinished} exists and was not made by this tool; name another folder, or remove it first')
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        marker.touch()
        yield unfinished
        marker.unlink()
        (unfinished / options_file).write_text(json.dumps(options))
        shutil.rmtree(out, ignore_errors=True)
        unfinished.rename(out)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise SystemExit(f'{out} could not be written: {error}. Make room, or name another folder') from None
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
