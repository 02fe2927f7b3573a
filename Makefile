# make demo   train a GC ViT classifier and from it a detector on real images, and score it (installs first; minutes)
# make test   lint and all tests
# make install, make lint
# make clean      remove what the demo made; make distclean removes the environment too

PYTHON ?= python3
VENV := .venv
# Where mmcv was built without CUDA (a GPU without nvcc), the GPU is hidden.
HIDE_GPU = $(if $(filter 0,$(shell cat $(VENV)/mmcv-cuda 2>/dev/null)),CUDA_VISIBLE_DEVICES=-1)
RUN = $(HIDE_GPU) $(VENV)/bin/python

DIGITS := data/digits
WORK_DIR ?= work_dirs/demo
CLASSIFIER := configs/demo/gcvit_digits_cls.py
DETECTOR := configs/demo/mask_rcnn_gcvit_digits.py
last_checkpoint = $$(cat $(1)/last_checkpoint)

.PHONY: demo test lint install clean distclean

demo: install
	$(RUN) tools/make_digits.py $(DIGITS)
	$(RUN) tools/train.py $(CLASSIFIER) --work-dir $(WORK_DIR)/classifier
	$(RUN) tools/train.py $(DETECTOR) --work-dir $(WORK_DIR)/detector \
		--cfg-options model.backbone.init_cfg.checkpoint=$(call last_checkpoint,$(WORK_DIR)/classifier)
	$(RUN) tools/test.py $(DETECTOR) $(call last_checkpoint,$(WORK_DIR)/detector) \
		--work-dir $(WORK_DIR)/detector --show-dir $(WORK_DIR)/predictions
	@echo "Predictions on the validation images, beside the truth on the left: $(WORK_DIR)/predictions"

test: lint
	$(RUN) -m pytest

lint: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

install:
	@$(PYTHON) tools/install.py $(VENV)

clean:
	rm -rf $(WORK_DIR) $(DIGITS)

distclean: clean
	rm -rf $(VENV)
