"""Writing pictures. OpenCV's own ``imwrite`` leaves half a file on a full disk, and says so by its result only."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an image (height, width, RGB) as JPEG.

    Raises:
        OSError: It cannot be written.
    """
    path.write_bytes(cv2.imencode('.jpg', image[..., ::-1], JPEG)[1].tobytes())


def write_labels(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write labels per pixel (height, width) as PNG.

    Raises:
        OSError: They cannot be written.
    """
    path.write_bytes(cv2.imencode('.png', labels)[1].tobytes())
