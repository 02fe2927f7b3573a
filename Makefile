# make demo   train a GC ViT classifier and from it a detector on real images, and score it (installs first; minutes)
# make test   lint and all tests but long ones and the demos'
# make test-all        these too: it trains both demos and scores them
# make demo-seg        likewise with semantic segmentation: UPerNet, from the classifier
# make test-upstream   all tests on the original OpenMMLab packages and torch 2.1, in an environment of their own
# make test-gpu        the tests that need a GPU, with a table for the docs
# make install, make lint
# make clean      remove what the demo made; make distclean removes the environment too

PYTHON ?= python3
VENV ?= .venv
# The distribution of the OpenMMLab packages: maintained (forks that run beside current torch) or upstream (the originals).
HOSTS ?= maintained
# mmcv's operators: torchvision (no compiler), compiled, or auto (compiled where there are a GPU and an nvcc for it).
OPERATORS ?= auto
RUN = $(VENV)/bin/python
# Tests run in as many processes as there are cores, each of which takes up to 2 GB and shares a fork server of 1 GB.
TEST_PROCESSES ?= $(shell n=$$(nproc); echo $$((n < 4 ? n : 4)))

DIGITS := data/digits
WORK_DIR ?= work_dirs/demo

.PHONY: demo demo-seg test test-all test-gpu test-upstream lint install clean distclean

demo: install
	@$(RUN) -m mmgcvit.commands.demo detect --work-dir $(WORK_DIR)

demo-seg: install
	@$(RUN) -m mmgcvit.commands.demo segment --work-dir $(WORK_DIR)

test: lint
	$(RUN) -m pytest -m 'not demo and not long' -n $(TEST_PROCESSES) --dist worksteal

test-all: test
	$(RUN) -m pytest -m long -n $(TEST_PROCESSES)
	$(RUN) -m pytest -m demo

# The tests that have a GPU to run on, and one table of what came of them; fails where torch sees none.
test-gpu: install
	$(VENV)/bin/python -c 'import torch; assert torch.cuda.is_available(), "torch sees no GPU"'
	$(VENV)/bin/python -m pytest -m gpu

test-upstream:
	$(MAKE) test-all VENV=$(VENV)-upstream HOSTS=upstream

lint: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

install:
	@$(PYTHON) tools/installation/install.py $(VENV) --hosts $(HOSTS) --operators $(OPERATORS)

clean:
	rm -rf $(WORK_DIR) $(DIGITS)

distclean: clean
	rm -rf $(VENV) $(VENV)-upstream
