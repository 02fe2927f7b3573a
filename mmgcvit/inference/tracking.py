"""Track objects through a video with mmdet's ByteTrack, from the predictions of any detector."""

from dataclasses import replace

import torch
from mmengine.structures import InstanceData

from ..errors import check_installed
from .results import Detections

# Objects above the high score are matched with tracks first, those above the low one with the remaining tracks.
SCORE_THRESHOLDS = {'high': 0.6, 'low': 0.1}


class Tracker:
    """Track the objects of a video. Call it on the detections of each frame in order.

    The settings are those of mmdet's configs for MOT17. A track that is not seen for 30 frames ends.
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
        """Return the detections that belong to a track, with its id. All objects of a track have one class."""
        from mmdet.structures import DetDataSample

        objects = InstanceData(
            bboxes=torch.from_numpy(detections.boxes),
            scores=torch.from_numpy(detections.scores),
            labels=torch.from_numpy(detections.labels),
            # The tracker passes masks through unread, so this field carries the index of each object.
            masks=torch.arange(len(detections)),
        )
        frame = DetDataSample(metainfo={'frame_id': self.frames}, pred_instances=objects)
        tracked = self.tracker.track(frame)
        self.frames += 1
        # The tracker keeps all frames of a track but reads only the last ones; an hour of video would exhaust memory.
        for track in self.tracker.tracks.values():
            for name in self.tracker.memo_items:
                del track[name][: -self.tracker.num_tentatives]
        tracked = tracked[tracked.masks.argsort()]
        return replace(detections.select(tracked.masks.numpy()), ids=tracked.instances_id.numpy())
