"""ByteTrack on Faster R-CNN, GC ViT-T, MOT17, 4 epochs: trains on the first half of each video, scores the second.

Needs lap, and trackeval for the score: docs/predict.md. Tracker and score are mmdet's bytetrack_yolox_x_8xb4-80e_
crowdhuman-mot17halftrain_test-mot17halfval.py's; data and length its faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-
mot17halfval.py's, which starts from a detector of COCO: name yours in model.detector.init_cfg. AdamW at 1e-4.
"""

_base_ = [
    '../_base_/models/faster_rcnn_gcvit.py',
    'mmdet::_base_/datasets/mot_challenge.py',
    '../_base_/schedules/coco_36e_adamw.py',
    '../_base_/runtime_det.py',
]

custom_imports = dict(imports=['mmgcvit', 'mmgcvit.mmdet_fixes', 'lap', 'trackeval'], allow_failed_imports=False)
released = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
detector = _base_.model
preprocessor = detector.pop('data_preprocessor')
detector.backbone.init_cfg = dict(type='Pretrained', checkpoint=released)
detector.rpn_head.bbox_coder.clip_border = False
detector.roi_head.bbox_head.bbox_coder.clip_border = False
detector.roi_head.bbox_head.num_classes = 1
del _base_.model
model = dict(
    type='ByteTrack',
    # Trains on images, scores videos.
    data_preprocessor=dict(preprocessor, type='TrackDataPreprocessor', use_det_processor=True),
    detector=detector,
    tracker=dict(
        type='ByteTracker',
        motion=dict(type='KalmanFilter'),
        obj_score_thrs=dict(high=0.6, low=0.1),
        init_track_thr=0.7,
        weight_iou_with_det_scores=True,
        match_iou_thrs=dict(high=0.1, low=0.5, tentative=0.3),
        num_frames_retain=30,
    ),
)
del detector, preprocessor

train_dataloader = dict(
    _delete_=True,
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        type='CocoDataset',
        data_root='data/MOT17/',
        ann_file='annotations/half-train_cocoformat.json',
        data_prefix=dict(img='train/'),
        metainfo=dict(classes=('pedestrian',)),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[
            dict(type='LoadImageFromFile', to_float32=True),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(
                type='RandomResize',
                scale=(1088, 1088),
                ratio_range=(0.8, 1.2),
                keep_ratio=True,
                clip_object_border=False,
            ),
            dict(type='PhotoMetricDistortion'),
            dict(type='RandomCrop', crop_size=(1088, 1088), bbox_clip_border=False),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ],
    ),
)
# Off during training, as mmdet fails to interpolate a video without detections.
test_evaluator = dict(postprocess_tracklet_cfg=[dict(type='InterpolateTracklets', min_num_frames=5, max_num_frames=20)])

max_epochs = 4
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[3], gamma=0.1),
]
optim_wrapper = dict(type='mmgcvit.AutoPrecisionOptimWrapper', loss_scale='dynamic')
default_hooks = dict(
    checkpoint=dict(save_best='motchallenge-metric/HOTA', rule='greater'),
    visualization=dict(_delete_=True, type='TrackVisualizationHook', draw=False),
)
visualizer = dict(
    _delete_=True, type='TrackLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer'
)
