"""Objects of a video get numbers that stay theirs: mmdet's ByteTracker on what a detector finds in each frame."""

from dataclasses import replace

import torch
from mmengine.structures import InstanceData

from ..errors import UserError, check_installed
from .results import Detections, Masks, Panoptic

# Surer objects are matched with tracks first, those between the two with what is left of tracks; others are left out.
SCORES = {'high': 0.6, 'low': 0.1}


class Tracker:
    """Called on the detections of each frame of one video, in turn; it remembers tracks for 30 frames.

    The settings are those of mmdet's configs for MOT17.
    """

    def __init__(self) -> None:
        check_installed('tracking', 'lap')
        from mmdet.models.trackers import ByteTracker

        self.tracker = ByteTracker(
            motion={'type': 'mmdet.KalmanFilter'},
            obj_score_thrs=SCORES,
            init_track_thr=0.7,
            match_iou_thrs={'high': 0.1, 'low': 0.5, 'tentative': 0.3},
            num_frames_retain=30,
        )
        self.frames = 0

    def __call__(self, found: Detections) -> Detections:
        """Those of the objects that belong to a track, with its number from 0; an object of a class stays one of it."""
        from mmdet.structures import DetDataSample

        if isinstance(found, Panoptic):
            raise UserError('--track: segments of panoptic segmentation are not followed; predict without it')
        objects = InstanceData(
            bboxes=torch.from_numpy(found.boxes),
            scores=torch.from_numpy(found.scores),
            labels=torch.from_numpy(found.labels),
            # In the place of masks, which the tracker would keep: which object it is.
            masks=torch.arange(len(found)),
        )
        frame = DetDataSample(metainfo={'frame_id': self.frames}, pred_instances=objects)
        tracked = self.tracker.track(frame)
        self.frames += 1
        # Of a track it asks for the last frame, and whether there are some: an hour of them needs no memory.
        for track in self.tracker.tracks.values():
            for name in self.tracker.memo_items:
                del track[name][: -self.tracker.num_tentatives]
        tracked = tracked[tracked.masks.argsort()]
        chosen, masks = tracked.masks.numpy(), found.masks
        if isinstance(masks, Masks):
            masks = replace(masks, parts=[masks.parts[number] for number in chosen])
        elif masks is not None:
            masks = masks[chosen]
        return replace(
            found,
            boxes=found.boxes[chosen],
            scores=found.scores[chosen],
            labels=found.labels[chosen],
            class_names=[found.class_names[number] for number in chosen],
            masks=masks,
            ids=tracked.instances_id.numpy(),
        )
