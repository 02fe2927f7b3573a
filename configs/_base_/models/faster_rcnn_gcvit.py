"""Faster R-CNN with FPN on GC ViT-T: mask_rcnn_gcvit.py without its mask head."""

_base_ = 'mask_rcnn_gcvit.py'

model = _base_.model
model.update(type='FasterRCNN', _delete_=True)
model.data_preprocessor.pop('pad_mask')
for name in ('mask_roi_extractor', 'mask_head'):
    model.roi_head.pop(name)
model.train_cfg.rcnn.pop('mask_size')
model.test_cfg.rcnn.pop('mask_thr_binary')
del name
