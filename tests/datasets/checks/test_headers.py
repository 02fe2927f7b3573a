"""The quick look at a header says of an image what Pillow says, or nothing."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmgcvit.datasets.checks.images import HEAD, announced_pixels

EXIF = Image.Exif()
EXIF[0x0112] = 6
PLAIN = {
    **{f'PNG {mode}': {'format': 'PNG', 'mode': mode} for mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'I;16')},
    **{f'JPEG {mode}': {'format': 'JPEG', 'mode': mode} for mode in ('L', 'RGB', 'CMYK')},
    'progressive': {'format': 'JPEG', 'progressive': True},
    'with metadata': {'format': 'JPEG', 'exif': EXIF.tobytes(), 'comment': b'words', 'icc_profile': bytes(500)},
    'with restarts': {'format': 'JPEG', 'restart_marker_blocks': 1},
    'with its own tables': {'format': 'JPEG', 'optimize': True, 'subsampling': 0},
}


def saved(width=40, height=30, format='PNG', mode='RGB', **options):
    """The bytes of an image file."""
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize('kind', PLAIN)
@given(width=st.integers(1, 700), height=st.integers(1, 700))
def test_headers_tell_the_number_of_pixels(kind, width, height):
    assert announced_pixels(saved(width, height, **PLAIN[kind])[:HEAD]) == width * height


@pytest.mark.parametrize('kind', PLAIN)
def test_a_header_that_is_cut_tells_it_or_nothing(kind):
    content = saved(**PLAIN[kind])
    answers = [announced_pixels(content[:length]) for length in range(len(content))]
    known = answers.index(1200)
    assert set(answers[:known]) == {None}
    assert set(answers[known:]) == {1200}


@pytest.mark.parametrize('kind', PLAIN)
@given(data=st.data())
def test_of_a_changed_header_pillow_says_the_same(kind, data):
    """Where either says anything."""
    content = bytearray(saved(**PLAIN[kind]))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, min(len(content), 300) - 1))] = data.draw(st.integers(0, 255))
    pixels = announced_pixels(bytes(content[:HEAD]))
    try:
        with Image.open(io.BytesIO(content)) as image:
            expected = image.width * image.height
    # Decoders raise errors of any class on damaged files.
    except Exception:
        return
    assert pixels in (None, expected)


@given(kind=st.sampled_from(list(PLAIN)), data=st.data())
def test_what_is_decoded_after_a_change_has_the_size_that_is_told(kind, data):
    """By OpenCV, which loads images in training: no file is decoded to more than it is taken for."""
    content = bytearray(saved(**PLAIN[kind]))
    content[data.draw(st.integers(0, min(len(content), 300) - 1))] = data.draw(st.integers(0, 255))
    pixels = announced_pixels(bytes(content[:HEAD]))
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is None or decoded is None or pixels == decoded.shape[0] * decoded.shape[1]


@pytest.mark.parametrize(
    'content',
    [
        saved(format='GIF', mode='P'),
        saved(format='BMP'),
        saved(format='WEBP'),
        saved(format='JPEG', icc_profile=bytes(HEAD)),
        # A scan, a second beginning, a segment that says to be shorter than its own length: before any frame.
        b'\xff\xd8\xff\xda\0\x08' + bytes(90),
        b'\xff\xd8\xff\xd8\xff\xc0\0\x11\x08' + bytes(90),
        b'\xff\xd8\xff\xe0\0\x01\xff\xc0\0\x11\x08' + bytes(90),
    ],
    ids=['GIF', 'BMP', 'WebP', 'JPEG after a long profile', 'scan', 'twice begun', 'short segment'],
)
def test_others_are_for_pillow(content):
    assert announced_pixels(content[:HEAD]) is None
