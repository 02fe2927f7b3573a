"""How many pixels the first bytes of a PNG or JPEG file announce.

Every image is asked in every epoch, and Pillow takes several times as long to say it. Where the first bytes do not tell
plainly there is no answer, and Pillow is to be asked.
"""

from struct import Struct

PNG_START = b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR'
JPEG_START = b'\xff\xd8'
# SOF0 to SOF15; three of these numbers are none: tables of codes (DHT, DAC) and a reserved one.
FRAMES = frozenset(range(0xFFC0, 0xFFD0)) - {0xFFC4, 0xFFC8, 0xFFCC}
# Other segments before the frame: tables, restart intervals, what applications add, comments.
SEGMENTS = frozenset((0xFFC4, 0xFFCC, 0xFFDB, 0xFFDD, *range(0xFFE0, 0xFFF0), 0xFFFE))
# Width and height of a PNG file. Marker and length of a JPEG segment. Of a frame also bits, height and width.
SIZE, SEGMENT, FRAME = Struct('>II'), Struct('>HH'), Struct('>HHBHH')


def announced_pixels(head: bytes) -> int | None:
    """The product of width and height that a file's header names.

    Args:
        head: The file's first bytes, of any number.

    Returns:
        None if it is neither PNG nor JPEG, or its header does not tell plainly.
    """
    if head.startswith(PNG_START) and len(head) >= len(PNG_START) + SIZE.size:
        width, height = SIZE.unpack_from(head, len(PNG_START))
        return width * height
    return pixels_of_jpeg(head) if head.startswith(JPEG_START) else None


def pixels_of_jpeg(head: bytes) -> int | None:
    """The same of a JPEG file, None also where segments are not those that every decoder passes over."""
    place = len(JPEG_START)
    while place + FRAME.size <= len(head):
        marker, length = SEGMENT.unpack_from(head, place)
        if marker in FRAMES:
            *_, height, width = FRAME.unpack_from(head, place)
            return height * width
        # A segment's length counts itself, not the marker.
        if marker not in SEGMENTS or length < 2:
            return None
        place += 2 + length
    return None
