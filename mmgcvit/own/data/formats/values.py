"""How values of annotation files become flags and boxes."""

from math import cos, radians, sin

from ....datasets.annotations import Box, Json, Polygon, Size

# Values of COCO's iscrowd and ignore and VOC's difficult, in lower case, as tools write them.
FALSE_FLAGS = ('', '0', '0.0', 'false', 'none', 'unspecified')
TRUE_FLAGS = ('1', '1.0', 'true')


def parse_flag(value: Json) -> bool | None:
    """Return what a flag says, or None if it is neither 0 nor 1. A missing flag (None) is 0."""
    text = str(value).lower()
    if text in FALSE_FLAGS:
        return False
    return True if text in TRUE_FLAGS else None


def rotate_box(box: Box, degrees: float) -> Polygon:
    """Return the corners of a box that is rotated clockwise about its centre, as CVAT rotates."""
    x = box.x + box.width / 2
    y = box.y + box.height / 2
    cosine = cos(radians(degrees))
    sine = sin(radians(degrees))
    half_width = box.width / 2
    half_height = box.height / 2
    corners = []
    for right, down in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        across = right * half_width
        along = down * half_height
        corners += [x + across * cosine - along * sine, y + across * sine + along * cosine]
    return [round(value, 2) for value in corners]


def enclose(polygon: Polygon, size: Size) -> Box:
    """Return the box that encloses a polygon, cut to an image of (width, height)."""
    width, height = size
    x = [min(max(value, 0), width) for value in polygon[::2]]
    y = [min(max(value, 0), height) for value in polygon[1::2]]
    return Box(min(x), min(y), round(max(x) - min(x), 2), round(max(y) - min(y), 2))
