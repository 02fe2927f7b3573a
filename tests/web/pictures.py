"""Files of pictures for tests, some of which are none."""

import struct
import zlib


def png_header(width, height):
    """A PNG file that announces a size, and ends where its pixels begin."""
    header = b'IHDR' + struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + header + struct.pack('>II', zlib.crc32(header), 1000) + b'IDAT'
    )
