"""Pictures have one look: a class one colour, words a size of the picture's, whatever is drawn and how large."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from mmgcvit.inference import Classification, Detections, Segmentation
from mmgcvit.inference.drawing import colour_of, drawn, ink_on, letters_of, middle_of, palette_of

CLASSES = ['cat', 'dog', 'Ölkännchen']
PALETTE = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
BOX = np.array([[20, 30, 60, 70]], np.float32)


def grey(height=90, width=120):
    return np.full((height, width, 3), 100, np.uint8)


def object_of(label=1, box=BOX, mask=None):
    return Detections(box, np.ones(1, np.float32), np.array([label]), [CLASSES[label]], mask)


def pixels_of(label):
    label_map = np.full((90, 120), 255, np.int32)
    label_map[30:70, 20:100] = label
    return Segmentation(label_map, np.array([label]), [CLASSES[label]], np.array([40 * 80]))


def class_of(label):
    return Classification(label, CLASSES[label], 0.5, np.full(3, 0.5, np.float32))


def has(picture, colour):
    return (picture[..., ::-1] == colour).all(-1)


def test_a_class_has_one_colour_in_pictures_of_every_task_and_no_other_class_has_it():
    for make in (object_of, pixels_of, class_of):
        for label, colour in enumerate(PALETTE):
            for other in PALETTE:
                assert has(drawn(grey(), make(label), PALETTE), other).any() == (other == colour), (make, label)
    # Of the first palette that fits; else hues, all different, those of labels beyond the classes too.
    assert palette_of(3, [None, PALETTE[:2], [(1, 2, 'x')] * 3, PALETTE, [(0, 0, 0)] * 3]) == PALETTE
    assert len(set(palette_of(150))) == 150
    assert colour_of(149, PALETTE) == palette_of(150)[149]


def test_what_is_drawn_lies_where_it_is_and_the_rest_stays():
    mask = np.zeros((1, 90, 120), bool)
    mask[0, 40:50, 30:50] = True
    picture = drawn(grey(), object_of(mask=mask), PALETTE)
    assert has(picture, PALETTE[1])[31:71, 20].all()
    assert picture[45, 40].tolist() == [50, 177, 50]  # half of either
    assert (picture[75:, 80:] == 100).all()
    segments = drawn(grey(), pixels_of(2), PALETTE)
    assert (segments[:29] == 100).all()
    assert segments[65, 95].tolist() == [177, 50, 50]
    # Of an image of many pixels the original is not drawn into.
    image = grey()
    drawn(image, object_of(), PALETTE)
    assert (image == 100).all()


def test_a_larger_picture_has_what_is_found_in_its_pixels():
    """Boxes and masks grow with the image, and lines stay thin: they are drawn afterwards."""
    picture = drawn(grey(), object_of(), PALETTE, scale=4)
    assert picture.shape == (360, 480, 3)
    green = has(picture, PALETTE[1])
    assert green[125:275, 80].all()
    assert 2 <= green[200].sum() <= 2 * 3
    assert drawn(grey(), pixels_of(0), PALETTE, scale=0.5).shape == (45, 60, 3)


def test_words_grow_with_the_picture_and_stay_inside_of_it():
    sizes = [letters_of(grey(*size)) for size in ((60, 80), (480, 640), (3000, 4000))]
    assert sizes == sorted(sizes)
    assert 2 * sizes[0] < sizes[2]
    # The ground of a name at the right edge, and of one on a picture smaller than a letter.
    edge = np.array([[100, 0, 119, 20]], np.float32)
    picture = drawn(grey(), object_of(2, edge), PALETTE)
    assert has(picture, PALETTE[2])[:12, 40:].any()
    for size in ((1, 1), (3, 2), (1, 500)):
        for found in (class_of(2), object_of(2, edge)):
            assert drawn(grey(*size), found, PALETTE).shape == (*size, 3)
    assert [ink_on(colour) for colour in ((255, 255, 0), (0, 0, 255), (0, 0, 0))] == ['black', 'white', 'white']


def test_truth_has_no_scores():
    for found in (object_of(), class_of(1)):
        assert (drawn(grey(), found, PALETTE) != drawn(grey(), found, PALETTE, with_scores=False)).any()


def test_threads_draw_what_one_draws():
    found = [object_of(0), pixels_of(1), class_of(2)] * 20
    scales = [1 + number % 5 for number in range(len(found))]
    expected = [drawn(grey(), each, PALETTE, scale) for each, scale in zip(found, scales, strict=True)]
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(lambda each, scale: drawn(grey(), each, PALETTE, scale), found, scales)
    assert all(map(np.array_equal, together, expected))


def test_the_middle_of_a_mask_is_in_it_and_specks_have_none():
    ring = cv2.circle(np.zeros((1000, 1400), np.uint8), (700, 500), 400, 1, 60)
    x, y = middle_of(ring == 1)
    assert ring[round(y), round(x)] == 1
    speck = np.zeros((1000, 1400), bool)
    speck[5, 5] = True
    assert middle_of(speck) is None
