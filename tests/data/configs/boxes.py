"""The small Mask R-CNN of detect.py without its mask head: a Faster R-CNN."""

_base_ = './detect.py'

model = dict(type='FasterRCNN', roi_head=dict(mask_roi_extractor=None, mask_head=None))
val_evaluator = dict(metric='bbox')
test_evaluator = val_evaluator
