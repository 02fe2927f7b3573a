"""Image files by their headers: no pixel is decoded, no host imported."""

from pathlib import Path

from PIL import ExifTags, Image

from ..errors import UserError, first_line

# Of files with a label for each pixel: what Pillow calls one channel of at most eight bits, and what is not labelled.
ONE_CHANNEL = ('1', 'L', 'P')
IGNORED = 255
# Of EXIF's orientations, 1 to 8.
FIRST_ON_ITS_SIDE = 5


def orientation_of(image: Image.Image) -> int:
    """The orientation that an image's EXIF data name, 1 for upright; upright too where they cannot be read."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    # Pillow raises errors of any class on damaged metadata; images are loaded without them.
    except Exception:
        return 1


def stored_and_upright_size(path: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """Width and height of an image as it is stored and as loading turns it, by its header alone, or a UserError."""
    try:
        with Image.open(path) as image:
            is_on_its_side = orientation_of(image) >= FIRST_ON_ITS_SIDE
            return image.size, image.size[:: -1 if is_on_its_side else 1]
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        if path.suffix.lower() not in Image.registered_extensions():
            raise UserError(f'{path}: images of this kind are not read here; convert it to JPEG') from None
        raise UserError(f'{path} is no whole image ({first_line(error)}); copy it again, or take it out') from None
