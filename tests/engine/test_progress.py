"""What a display is told of a run."""

from mmgcvit.engine.progress import shown_scores


def test_of_a_mean_and_its_parts_the_mean_is_shown():
    coco = {'coco/bbox_mAP': 0.7821, 'coco/bbox_mAP_50': 0.95, 'coco/bbox_mAP_s': -1.0, 'coco/segm_mAP': 0.79}
    assert shown_scores(coco) == 'coco/bbox_mAP 0.7821  coco/segm_mAP 0.79'


def test_of_scores_the_numbers_are_shown():
    """Also numpy's; not lists such as a value per class."""
    assert shown_scores({'mIoU': 50.0, 'IoU': [1.0, 2.0], 'accuracy/top1': 98.888}) == 'mIoU 50  accuracy/top1 98.89'
