"""Cascade Mask R-CNN with FPN on GC ViT-T: three box heads of four convolutions and one fully
connected layer.
"""

_base_ = 'mask_rcnn_gcvit.py'

box_head = _base_.model.roi_head.bbox_head
box_heads = [
    dict(
        box_head,
        type='ConvFCBBoxHead',
        num_shared_convs=4,
        num_shared_fcs=1,
        conv_out_channels=256,
        bbox_coder=dict(box_head.bbox_coder, target_stds=target_stds),
        reg_decoded_bbox=True,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        loss_bbox=dict(type='GIoULoss', loss_weight=10.0),
    )
    for target_stds in ([0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067])
]
rcnn = _base_.model.train_cfg.rcnn
matching = dict(rcnn.assigner, match_low_quality=False)
rcnn_stages = [
    dict(rcnn, assigner=dict(matching, pos_iou_thr=iou, neg_iou_thr=iou, min_pos_iou=iou))
    for iou in (0.5, 0.6, 0.7)
]
del box_head, rcnn, matching

model = dict(
    type='CascadeRCNN',
    rpn_head=dict(loss_bbox=dict(type='SmoothL1Loss', beta=1.0 / 9.0)),
    roi_head=dict(
        type='mmgcvit.CascadeRoIHead',
        num_stages=3,
        stage_loss_weights=[1, 0.5, 0.25],
        bbox_head=box_heads,
    ),
    train_cfg=dict(
        rpn=dict(allowed_border=0), rpn_proposal=dict(max_per_img=2000), rcnn=rcnn_stages
    ),
)
