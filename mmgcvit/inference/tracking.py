"""Track the objects that any detector finds in the frames of a video, with mmdet's ByteTrack."""

from dataclasses import replace

import torch
from mmengine.structures import InstanceData

from ..errors import check_installed
from .results import Detections

# Objects that score above ``high`` are matched first, objects that score above ``low`` with the remaining tracks.
SCORE_THRESHOLDS = {'high': 0.6, 'low': 0.1}


class Tracker:
    """Track the objects of one video. Call the tracker on the detections of each frame in order.

    The settings are those of mmdet's configs for MOT17. A track ends if its object is not found for 30 frames.
    """

    def __init__(self) -> None:
        check_installed('tracking', 'lap')
        from mmdet.models.trackers import ByteTracker

        self.tracker = ByteTracker(
            motion={'type': 'mmdet.KalmanFilter'},
            obj_score_thrs=SCORE_THRESHOLDS,
            init_track_thr=0.7,
            match_iou_thrs={'high': 0.1, 'low': 0.5, 'tentative': 0.3},
            num_frames_retain=30,
        )
        self.frames = 0

    def __call__(self, detections: Detections) -> Detections:
        """Return the detections that belong to a track, with the ids of their tracks. A track has only one class."""
        from mmdet.structures import DetDataSample

        objects = InstanceData(
            bboxes=torch.from_numpy(detections.boxes),
            scores=torch.from_numpy(detections.scores),
            labels=torch.from_numpy(detections.labels),
            # ByteTracker returns the masks of the tracked objects without using them. Indices in place of masks tell
            # which detections it returns.
            masks=torch.arange(len(detections)),
        )
        frame = DetDataSample(metainfo={'frame_id': self.frames}, pred_instances=objects)
        tracked = self.tracker.track(frame)
        self.frames += 1
        # ByteTracker stores all frames of a track, which would exhaust memory in an hour, but reads only the last few.
        for track in self.tracker.tracks.values():
            for name in self.tracker.memo_items:
                del track[name][: -self.tracker.num_tentatives]
        tracked = tracked[tracked.masks.argsort()]
        return replace(detections.select(tracked.masks.numpy()), ids=tracked.instances_id.numpy())
