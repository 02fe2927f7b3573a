# make demo   train and score a GC ViT detector on real images (installs first; minutes)
# make test   lint and all tests
# make install, make lint, make clean

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

DIGITS := data/digits
WORK_DIR ?= work_dirs/demo
CONFIG := configs/demo/mask_rcnn_gcvit_digits.py

.PHONY: demo test lint install clean

demo: install
	$(RUN) tools/make_digits.py $(DIGITS)
	$(RUN) tools/train.py $(CONFIG) --work-dir $(WORK_DIR)
	$(RUN) tools/test.py $(CONFIG) $$(cat $(WORK_DIR)/last_checkpoint) --work-dir $(WORK_DIR) --show-dir $(WORK_DIR)/predictions
	@echo "Predictions on the validation images, beside the truth on the left: $(WORK_DIR)/predictions"

test: lint
	$(RUN) -m pytest

lint: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

install:
	@$(PYTHON) tools/install.py $(VENV)

clean:
	rm -rf $(VENV) work_dirs $(DIGITS)
