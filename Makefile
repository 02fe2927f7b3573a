# make demo   train a GC ViT classifier and from it a detector on real images, and score it (installs first; minutes)
# make test   lint and all tests
# make demo-seg        likewise with semantic segmentation: UPerNet, from the classifier
# make test-upstream   all tests on the original OpenMMLab packages and torch 2.1, in an environment of their own
# make test-gpu        the tests that need a GPU, with a table for the docs
# make install, make lint
# make clean      remove what the demo made; make distclean removes the environment too

PYTHON ?= python3
VENV ?= .venv
# The distribution of the OpenMMLab packages: maintained (forks that run beside current torch) or upstream (the originals).
HOSTS ?= maintained
# Where mmcv was built without CUDA (a GPU without nvcc), the GPU is hidden.
HIDE_GPU = $(if $(filter 0,$(shell cat $(VENV)/mmcv-cuda 2>/dev/null)),CUDA_VISIBLE_DEVICES=-1)
RUN = $(HIDE_GPU) $(VENV)/bin/python

DIGITS := data/digits
WORK_DIR ?= work_dirs/demo
CLASSIFIER := configs/demo/gcvit_digits_cls.py
DETECTOR := configs/demo/mask_rcnn_gcvit_digits.py
SEGMENTOR := configs/demo/upernet_gcvit_digits.py
last_checkpoint = $$(cat $(1)/last_checkpoint)

.PHONY: demo demo-seg digits test test-gpu test-upstream lint install clean distclean

demo: $(WORK_DIR)/classifier/last_checkpoint
	$(RUN) tools/train.py $(DETECTOR) --work-dir $(WORK_DIR)/detector \
		--cfg-options model.backbone.init_cfg.checkpoint=$(call last_checkpoint,$(WORK_DIR)/classifier)
	$(RUN) tools/test.py $(DETECTOR) $(call last_checkpoint,$(WORK_DIR)/detector) \
		--work-dir $(WORK_DIR)/detector --show-dir $(WORK_DIR)/predictions
	@echo "Predictions on the validation images, beside the truth on the left: $(WORK_DIR)/predictions"

demo-seg: $(WORK_DIR)/classifier/last_checkpoint
	$(RUN) tools/train.py $(SEGMENTOR) --work-dir $(WORK_DIR)/segmentor \
		--cfg-options model.backbone.init_cfg.checkpoint=$(call last_checkpoint,$(WORK_DIR)/classifier)
	$(RUN) tools/test.py $(SEGMENTOR) $(call last_checkpoint,$(WORK_DIR)/segmentor) \
		--work-dir $(WORK_DIR)/segmentor --show-dir $(WORK_DIR)/segmentations
	@echo "Segmentations of the validation images, beside the truth on the left: $(WORK_DIR)/segmentations/vis_data/vis_image"

# What both demos start from; trained once, and again where its config has changed.
$(WORK_DIR)/classifier/last_checkpoint: $(CLASSIFIER) | digits
	$(RUN) tools/train.py $(CLASSIFIER) --work-dir $(WORK_DIR)/classifier

digits: install
	$(RUN) tools/make_digits.py $(DIGITS)

test: lint
	$(RUN) -m pytest

# The tests that have a GPU to run on, and one table of what came of them; fails where torch sees none.
test-gpu: install
	$(VENV)/bin/python -c 'import torch; assert torch.cuda.is_available(), "torch sees no GPU"'
	$(VENV)/bin/python -m pytest -m gpu

test-upstream:
	$(MAKE) test VENV=$(VENV)-upstream HOSTS=upstream

lint: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

install:
	@$(PYTHON) tools/install.py $(VENV) --hosts $(HOSTS)

clean:
	rm -rf $(WORK_DIR) $(DIGITS)

distclean: clean
	rm -rf $(VENV) $(VENV)-upstream
