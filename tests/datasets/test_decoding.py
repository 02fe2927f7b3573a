"""A picture is the same by its path, as a Pillow image and for check-data, or all refuse it.

The pictures are made from pixels that are known, as files of any container, number of bands and
bits, compression and meaning of 0 (:class:`Kind`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmgcvit.datasets.decoding import DecodingSettings
from mmgcvit.datasets.label_maps import read_segmentation_map
from mmgcvit.datasets.rules.images import check_image
from mmgcvit.errors import UserError
from mmgcvit.predict.inputs import convert_to_array

tifffile = pytest.importorskip('tifffile')
HEIGHT = 18
WIDTH = 32
DECODING = DecodingSettings()
LOSSLESS = ('raw', 'tiff_lzw', 'packbits', 'tiff_adobe_deflate', 'zstd', 'lzma')
# The values of TIFF's ExtraSamples by the number of bands
EXTRA = {1: [None], 3: [None], 4: [None, 'unspecified', 'assocalpha', 'unassalpha']}
EXTRA |= {2: EXTRA[4], 5: EXTRA[4]}


@dataclass(frozen=True)
class Kind:
    """How a picture is stored. ``white`` is the number that is white."""

    suffix: str
    bands: int = 3
    bits: int = 8
    white: int = 255
    compression: str | None = None
    extra: str | None = None
    is_text: bool = False


def make_pixels(bands):
    """Return pixels (height, width, bands) of 8 bits. The fourth and the fifth band are no colour."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    across = x * 255 // (WIDTH - 1)
    down = y * 255 // (HEIGHT - 1)
    return np.stack([across, down, 255 - across, x * 7, y * 0 + 60], -1)[..., :bands]


def make_bgr(pixels):
    """Return what is shown of pixels: the colours, in BGR order."""
    shown = pixels[..., :3] if pixels.shape[2] > 2 else np.repeat(pixels[..., :1], 3, 2)
    return shown[..., ::-1].astype(np.uint8)


def write_kind(path: Path, kind: Kind) -> np.ndarray:
    """Write a picture, and return what it shows (height, width, 3) in BGR order."""
    pixels = make_pixels(kind.bands)
    if kind.suffix in ('.pgm', '.ppm'):
        return write_netpbm(path, pixels, kind)
    if kind.compression:
        image = Image.fromarray(make_bgr(pixels)[..., ::-1])
        image = image.convert({1: 'L', 2: 'LA', 3: 'RGB', 4: 'CMYK'}[kind.bands])
        image.save(path, compression=kind.compression)
        return np.asarray(image.convert('RGB'))[..., ::-1]
    if kind.suffix != '.tif':
        image = Image.fromarray(make_bgr(pixels)[..., ::-1])
        image.convert({1: 'L', 3: 'RGB'}[kind.bands]).save(path)
        return make_bgr(np.asarray(Image.open(path).convert('RGB')))
    return write_tiff(path, pixels, kind)


def write_netpbm(path, pixels, kind):
    values = np.round(pixels / 255 * kind.white).astype(int)
    number = {1: 5, 3: 6}[kind.bands] - 3 * kind.is_text
    head = f'P{number}\n{WIDTH} {HEIGHT}\n{kind.white}\n'
    if kind.is_text:
        path.write_text(head + ' '.join(map(str, values.ravel())))
    else:
        dtype = '>u2' if kind.white > 255 else 'u1'
        path.write_bytes(head.encode() + values.astype(dtype).tobytes())
    return make_bgr(np.round(values / kind.white * 255))


def write_tiff(path, pixels, kind):
    shown = make_bgr(pixels)
    values = pixels
    if kind.bits == 1:
        values = pixels > 127
        shown = make_bgr(values * 255)
    highest = 2**kind.bits - 1
    if kind.bits > 8:
        values = pixels * (highest // 255)
    photometric = 'rgb' if kind.bands > 2 else 'minisblack'
    if kind.white == 0:
        photometric = 'miniswhite'
        values = highest - values
    dtypes = {1: bool, 8: np.uint8, 16: np.uint16, 32: np.uint32}
    options = {}
    if kind.extra:
        num_extra = kind.bands - (3 if kind.bands > 2 else 1)
        options = {'extrasamples': [kind.extra] * num_extra}
    tifffile.imwrite(
        path,
        (values[..., 0] if kind.bands == 1 else values).astype(dtypes[kind.bits]),
        photometric=photometric,
        planarconfig='contig' if kind.bands > 1 else None,
        **options,
    )
    return shown


@st.composite
def tiff_kinds(draw):
    bands = draw(st.sampled_from([1, 1, 2, 3, 4, 5]))
    bits = draw(st.sampled_from([1, 8, 16, 32] if bands == 1 else [8, 16]))
    extra = draw(st.sampled_from(EXTRA[bands]))
    white = draw(st.sampled_from([0, 255])) if bands == 1 else 255
    return Kind('.tif', bands=bands, bits=bits, extra=extra, white=white)


KINDS = st.one_of(
    tiff_kinds(),
    st.builds(
        Kind,
        st.just('.tif'),
        bands=st.sampled_from([1, 2, 3, 4]),
        compression=st.sampled_from(LOSSLESS),
    ),
    st.builds(
        Kind,
        st.sampled_from(['.pgm', '.ppm']),
        bands=st.sampled_from([1, 3]),
        white=st.sampled_from([1, 3, 15, 200, 255, 256, 1023, 4095, 16383, 65535]),
        is_text=st.booleans(),
    ),
    st.builds(Kind, st.sampled_from(['.png', '.bmp']), bands=st.sampled_from([1, 3])),
)


def convert_or_none(image):
    """Return the array of an image, or the sentence that refuses it."""
    try:
        return convert_to_array(image, DECODING), ''
    except UserError as error:
        return None, str(error)


@settings(
    max_examples=120,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(KINDS)
def test_a_picture_has_its_true_pixels_by_each_way_or_is_refused_by_all(tmp_path_factory, kind):
    """Pillow images of colours that are multiplied by alpha are asked for by their path."""
    path = tmp_path_factory.mktemp('kind') / f'x{kind.suffix}'
    shown = write_kind(path, kind)
    loaded, sentence = convert_or_none(path)
    is_usable = check_image(path).finding is None
    assert is_usable == (check_image(path, decoding=DECODING).finding is None)
    assert is_usable == (loaded is not None)
    try:
        opened = Image.open(path)
    except OSError:  # Pillow has no way in
        assert loaded is None
        assert '. Save ' in sentence
        return
    converted, sentence_of_pillow = convert_or_none(opened)
    if loaded is None:
        assert converted is None
        assert any(words in sentence for words in ('. Save ', ': Save ', '. Scale '))
    elif converted is None:
        assert kind.extra == 'assocalpha'
        assert 'Pass its path' in sentence_of_pillow
    for pixels in (loaded, converted):
        if pixels is not None:
            assert np.abs(pixels.astype(int) - shown).max() <= 1


@pytest.mark.parametrize(
    ('kind', 'words'),
    [
        (Kind('.pgm', bands=1, white=1023), 'its white is 1023'),
        (Kind('.ppm', is_text=True), 'written as text'),
        (Kind('.tif', bands=4, extra='unassalpha'), 'its fourth band is marked as transparency'),
        (Kind('.tif', bands=4, bits=16, extra='unassalpha'), 'marked as transparency'),
        (Kind('.tif', bands=1, bits=16, white=0), 'its white is 0 in 16 bits'),
        (Kind('.tif', bands=5, extra='unspecified'), 'it has 5 bands'),
        (Kind('.tif', bands=2, bits=16), 'number of bands'),
        (Kind('.tif', compression='zstd'), 'compressed with zstd'),
    ],
)
def test_check_data_says_what_training_would_read_otherwise(kind, words, tmp_path):
    write_kind(tmp_path / f'x{kind.suffix}', kind)
    finding = check_image(tmp_path / f'x{kind.suffix}').finding
    assert words in finding.example
    assert 'ave ' in finding.example


@pytest.mark.parametrize('dtype', [bool, np.uint8])
def test_a_map_whose_white_is_0_is_refused(dtype, tmp_path):
    """tifffile writes True and False so, ImageJ with an inverting LUT: classes were swapped."""
    labels = np.zeros((HEIGHT, WIDTH), dtype)
    labels[4:9, 4:9] = 1
    tifffile.imwrite(tmp_path / 'inverted.tif', labels, photometric='miniswhite')
    with pytest.raises(UserError, match=r'white is 0 in it.* Save them as PNG'):
        read_segmentation_map(tmp_path / 'inverted.tif')
    tifffile.imwrite(tmp_path / 'plain.tif', labels, photometric='minisblack')
    np.testing.assert_array_equal(read_segmentation_map(tmp_path / 'plain.tif'), labels)


@pytest.mark.parametrize(
    ('dtype', 'values', 'words'),
    [
        (np.int64, (0, 255), r"the dtype int64, and values from 0 to 255.*astype\('uint8'\)"),
        (np.int8, (-128, 127), 'the dtype int8, and values from -128 to 127'),
        (np.uint32, (0, 200), 'the dtype uint32, and values from 0 to 200'),
        (np.int32, (0, 1000), 'the dtype int32, and values from 0 to 1000'),
        (np.uint32, (0, 2**20), '32 bits per channel'),
        (np.uint16, (0, 1000), 'it has 16 bits, but no value above 4095'),
    ],
)
def test_integer_arrays_are_named_by_their_dtype(dtype, values, words):
    image = np.resize(np.array(values, dtype), (HEIGHT, WIDTH, 3))
    with pytest.raises(UserError, match=words):
        convert_to_array(image, DECODING)
    if values[1] == 255:
        usable = convert_to_array(image.astype(np.uint8), DECODING)
        np.testing.assert_array_equal(usable, image)
