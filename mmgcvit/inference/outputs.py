"""The folder that predictions are written to: pictures, videos, label maps and JSON."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import check_writable, write_image, write_text

# Pictures and videos with predictions drawn in; label maps; predictions for the frames of videos.
PICTURES, LABEL_MAPS, FRAMES = FOLDERS = ('vis', 'labels', 'preds')
PREDICTIONS, IMAGES = FILES = ('predictions.json', 'images.json')
# Pictures keep these formats; others become PNG.
KEPT_SUFFIXES = ('.jpg', '.jpeg', '.png')


class Outputs:
    """Paths below a folder, which is made when the first file is written.

    Files are named after the inputs. Inputs of one name keep their paths below their common folder, and if their
    suffixes alone differ, these too.
    """

    def __init__(self, folder: Path, inputs: Sequence[str], overwrite: bool = False) -> None:
        check_out_dir(folder, (*FILES, *FOLDERS), overwrite)
        inside = [path for path in inputs if folder.resolve() in Path(path).resolve().parents]
        if inside and overwrite:
            raise UserError(f'{inside[0]} lies in {folder}, which is written to; name another folder with --out-dir')
        self.folder = folder
        absolute = [Path(os.path.normpath(Path(path).absolute())) for path in inputs]
        common = os.path.commonpath([path.parent for path in absolute]) if inputs else ''
        below = [path.relative_to(common) for path in absolute]
        for names in ([path.stem for path in below], [str(path.with_suffix('')) for path in below], map(str, below)):
            self.names = dict(zip(inputs, names, strict=True))
            if len({name.lower() for name in self.names.values()}) == len(inputs):
                break

    def get_path(self, kind: str, source: str, suffix: str) -> Path:
        """The path in one of :data:`FOLDERS` for an input, or a camera."""
        return self.folder / kind / f'{self.names.get(source, source)}{suffix}'

    def write_picture(self, source: str, picture: np.ndarray) -> Path:
        """Write a picture (height, width, 3), blue, green, red, with predictions drawn in."""
        suffix = Path(source).suffix
        return write_image(
            self.get_path(PICTURES, source, suffix if suffix.lower() in KEPT_SUFFIXES else '.png'), picture
        )

    def write_label_map(self, source: str, label_map: np.ndarray) -> Path:
        """Write class numbers (height, width) as a grey PNG file, of 16 bits if they need it."""
        is_deep = label_map.max(initial=0) > np.iinfo(np.uint8).max
        return write_image(
            self.get_path(LABEL_MAPS, source, '.png'), label_map.astype(np.uint16 if is_deep else np.uint8)
        )


def check_out_dir(folder: Path, names: Sequence[str], overwrite: bool) -> None:
    """Reject a folder for ``--out-dir`` that cannot be written, or has files or filled folders of these names."""
    check_writable(folder, f'--out-dir {folder}')
    paths = [folder / name for name in names]
    found = [path.name for path in paths if (any(path.iterdir()) if path.is_dir() else path.exists())]
    if found and not overwrite:
        raise UserError(
            f'{folder} holds what an earlier call has written ({", ".join(found)}); name another folder with '
            '--out-dir, or replace it with --overwrite'
        )


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; values that are not finite, which JSON does not have, raise ValueError."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False))
