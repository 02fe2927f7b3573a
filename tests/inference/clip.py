"""Write a video of digits that enter, cross and leave, with ground truth, and score tracks in it.

``python -m tests.inference.clip clip.mp4`` writes the video. With the output of ``mmgcvit predict --track`` as second
argument (``predictions/preds/clip.jsonl``), it scores the tracks with trackeval.
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import supervision as sv

from mmgcvit.datasets.digits import DIGIT_INK, SceneComposer

FRAMES, SIZE, DIGITS = 60, 256, 6
# A digit is in the ground truth while at least this share of its pixels is visible.
MIN_VISIBLE = 0.4
# Every digit has the first class; the detector has ten classes.
MOT_CLASSES = ('pedestrian', *'123456789')


class Objects(NamedTuple):
    """The objects of a frame: track ids (n,) and boxes (n, 4), left, top, right, bottom."""

    ids: np.ndarray
    boxes: np.ndarray


class Actor:
    """A digit that moves through the video."""

    def __init__(self, ink, rng):
        side = int(rng.integers(48, 80))
        self.ink = cv2.resize(ink, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)
        self.tint, self.middle = rng.uniform(150, 255, 3), rng.uniform(0.2, 0.8, 2) * SIZE
        self.velocity = np.array([rng.uniform(-1, 1), rng.choice([-1, 1]) * rng.uniform(4, 8)])
        self.time = rng.uniform(0, FRAMES)
        y, x = np.nonzero(self.ink >= DIGIT_INK)
        self.pixels, self.box = len(y), np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])

    def draw_into(self, frame, owner, number, time):
        """Draw the digit over a frame, write its number to the pixels of ``owner``, and return its box."""
        y, x = (self.middle + self.velocity * (time - self.time) - len(self.ink) / 2).round().astype(int)
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        ink = cv2.warpAffine(self.ink, shift, (SIZE, SIZE), flags=cv2.INTER_NEAREST)
        frame += ink[..., None] * (self.tint - frame)
        owner[ink >= DIGIT_INK] = number
        return np.add(self.box, [x, y, x, y]).clip(0, SIZE)


def compose_clip():
    """Return frames (height, width, 3) in BGR order and the objects in each, from digits of the validation split."""
    composer = SceneComposer('val', SIZE)
    rng = np.random.default_rng(0)
    ground = composer.make_background(None)
    actors = [Actor(composer.ink[scan], rng) for scan in rng.choice(composer.scans, DIGITS, replace=False)]
    frames, truth = [], []
    for time in range(FRAMES):
        frame, owner = ground + rng.normal(0, 4, ground.shape), np.full((SIZE, SIZE), -1)
        boxes = [actor.draw_into(frame, owner, number, time) for number, actor in enumerate(actors)]
        seen = [n for n, actor in enumerate(actors) if (owner == n).sum() >= MIN_VISIBLE * actor.pixels]
        frames.append(frame.clip(0, 255).astype(np.uint8))
        truth.append(Objects(np.array(seen, int), np.array([boxes[number] for number in seen]).reshape(-1, 4)))
    return frames, truth


def write_clip(path):
    """Write the clip as a video, and return its ground truth."""
    frames, truth = compose_clip()
    with sv.VideoSink(str(path), sv.VideoInfo(SIZE, SIZE, fps=10)) as sink:
        for frame in frames:
            sink.write_frame(frame)
    return truth


def write_mot(root):
    """Write the clip in the layout of MOT17 after mmdet's mot2coco.py, the same for training and validation."""
    images, objects = [], []
    for number, (frame, seen) in enumerate(zip(*compose_clip(), strict=True)):
        name = f'CLIP-01/img1/{number + 1:06d}.jpg'
        (root / 'train' / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / 'train' / name), frame)
        image = {'id': number + 1, 'video_id': 1, 'frame_id': number, 'file_name': name}
        images.append({**image, 'height': SIZE, 'width': SIZE, 'mot_frame_id': number + 1})
        for digit, box in zip(seen.ids.tolist(), seen.boxes.tolist(), strict=True):
            bbox = [*box[:2], box[2] - box[0], box[3] - box[1]]
            about = {'id': len(objects) + 1, 'image_id': number + 1, 'category_id': 1, 'iscrowd': 0, 'bbox': bbox}
            about |= {'area': bbox[2] * bbox[3], 'instance_id': digit, 'visibility': 1.0, 'mot_conf': 1.0}
            objects.append(about)
    categories = [{'id': number, 'name': name} for number, name in enumerate(MOT_CLASSES, start=1)]
    content = {'images': images, 'annotations': objects, 'categories': categories}
    content['videos'] = [{'id': 1, 'name': 'CLIP-01'}]
    (root / 'annotations').mkdir()
    for half in ('half-train', 'half-val'):
        (root / 'annotations' / f'{half}_cocoformat.json').write_text(json.dumps(content))


def read_tracks(path):
    """Read the objects of each frame from the output of ``mmgcvit predict --track``."""
    found = []
    for line in Path(path).read_text().splitlines():
        objects = json.loads(line)['predictions']
        boxes = np.array([each['bbox'] for each in objects]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        found.append(Objects(np.array([each['track_id'] for each in objects], int), boxes))
    return found


def scores_of(truth, found):
    """Compute HOTA and MOTA, at most 1, and the number of identity switches."""
    from trackeval.metrics import CLEAR, HOTA

    data = {'num_timesteps': len(truth)}
    for name, frames in (('gt', truth), ('tracker', found)):
        known = np.unique(np.concatenate([frame.ids for frame in frames]))
        data[f'{name}_ids'] = [np.searchsorted(known, frame.ids) for frame in frames]
        data[f'num_{name}_ids'] = len(known)
        data[f'num_{name}_dets'] = sum(len(frame.ids) for frame in frames)
    data['similarity_scores'] = [
        sv.box_iou_batch(one.boxes, other.boxes) for one, other in zip(truth, found, strict=True)
    ]
    scores = CLEAR({'PRINT_CONFIG': False}).eval_sequence(data)
    hota = np.mean(HOTA().eval_sequence(data)['HOTA'])
    return {'HOTA': round(float(hota), 3), 'MOTA': round(float(scores['MOTA']), 3), 'switches': int(scores['IDSW'])}


if __name__ == '__main__':
    clip, *tracked = sys.argv[1:]
    truth = write_clip(clip)
    if tracked:
        print(scores_of(truth, read_tracks(*tracked)))  # noqa: T201
