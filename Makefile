# make demo   train a detector on real images, from a GC ViT classifier, and score it (installs first; minutes)
# make test   lint and all tests but long ones and the demos'
# make test-all        these too: it trains the demo and scores it
# make demo-seg        likewise with semantic segmentation: UPerNet
# make test-upstream   the tests of what meets the hosts on the original OpenMMLab packages and torch 2.1, in an
#                      environment of their own; make test-upstream-all runs all there
# make test-gpu        on a GPU: the tests that take one, and figures of speed and memory; DEVICE=cpu runs the same code
#                      small on a CPU. make gpu-wheels gathers what a machine without a network lacks for it
# make test-beside     the tests beside packages that go into folders of their own: lap and trackeval (track), mmrotate
#                      (rotated), mmpose (keypoints); test-track is one of them, and test-all
#                      runs them too
# make test-docs       the site is built and looked at; test-all runs this too
# make install, make lint
# make docs            the site, build/docs/index.html; make docs-links asks every external address that it names
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

.PHONY: demo demo-seg test test-all test-gpu gpu-wheels test-beside test-docs test-upstream \
	test-upstream-all lint docs docs-links install clean distclean

demo: install
	@$(RUN) -m mmgcvit demo detect --work-dir $(WORK_DIR)

demo-seg: install
	@$(RUN) -m mmgcvit demo segment --work-dir $(WORK_DIR)

test: lint
	$(RUN) -m pytest -m 'not demo and not long' -n $(TEST_PROCESSES) --dist worksteal

# The demos train in one process while the long tests run in the others. What is left, and what ALSO names, takes one
# process each: as many run beside each other, in an environment that nothing changes, and are shown when they have ended.
test-all: test
	$(RUN) -m pytest -m 'long or demo' -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
	-$(if $(filter maintained,$(HOSTS)),$(MAKE) $(VENV)/installed-docs)
	OMP_NUM_THREADS=1 $(MAKE) --jobs $(TEST_PROCESSES) --keep-going --output-sync TEST_PROCESSES=1 DEVICE=cpu \
		$(ALSO) test-gpu $(if $(filter maintained,$(HOSTS)),test-beside test-docs)

DEVICE ?= cuda
BENCHMARK = $(RUN) -m mmgcvit benchmark --device $(DEVICE)
PLAIN = tests.models.gcvit.plain:PlainGCViT
OTHERS = timm:gcvit_tiny swin:tiny convnext:tiny
test-gpu: install
	MMGCVIT_TEST_DEVICE=$(DEVICE) $(RUN) -m pytest $(if $(filter cpu,$(DEVICE)),tests/gpu,-m 'gpu and not long' tests/gpu tests/models tests/inference tests/checkpoints)
ifeq ($(DEVICE),cuda)
	$(BENCHMARK) gcvit:tiny gcvit:tiny+$(PLAIN) $(OTHERS) --batch 64 --modes infer train --precisions fp32 bf16
	$(BENCHMARK) gcvit:tiny@24 gcvit:tiny@24+$(PLAIN) gcvit:tiny@16 gcvit:tiny@16+$(PLAIN) swin:tiny convnext:tiny \
		--sizes 800x1333 --batch 2 --modes infer train --precisions fp32 bf16
	$(BENCHMARK) gcvit:tiny $(OTHERS) --batch 64 --modes infer train --precisions bf16 --run compiled
	$(BENCHMARK) configs/mask_rcnn_gcvit_t.py configs/cascade_gcvit_b.py --sizes 800x1333 --batch 2 --modes infer train --precisions bf16
endif

# On the other machine: see tests/gpu/wheels.py
gpu-wheels: install
	$(RUN) -m tests.gpu.wheels build/gpu-wheels

# The backbones' contract, loading, and training, resuming and testing of each task.
UPSTREAM = VENV=$(VENV)-upstream HOSTS=upstream
MEETS_HOSTS = $(addprefix tests/,checkpoints engine/test_exact_resume.py models/contract/test_backbones.py models/gcvit \
	models/lsa ops test_config.py test_detection.py tools/test_training.py)
test-upstream:
	$(MAKE) install $(UPSTREAM)
	$(VENV)-upstream/bin/python -m pytest -m 'not demo and not long' -n $(TEST_PROCESSES) --dist worksteal $(MEETS_HOSTS)

test-upstream-all:
	$(MAKE) test-all $(UPSTREAM)

# Whatever Sphinx warns of is an error. Its packages are added to the environment on demand, by their hashes.
SPHINX = $(RUN) -m sphinx --quiet --fail-on-warning --keep-going --fresh-env --write-all -c docs -d build/doctrees

docs: $(VENV)/installed-docs
	rm -rf build/docs
	$(SPHINX) -b html . build/docs
	@echo "The site: build/docs/index.html"

docs-links: $(VENV)/installed-docs
	$(SPHINX) -b linkcheck . build/links

$(VENV)/installed-docs: locks/docs.txt | install
	@$(RUN) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "The site is built by Python 3.11 or later: make docs VENV=.venv-docs PYTHON=python3.11")'
	$(ADD) --requirement locks/docs.txt
	@touch $@

# Packages in folders beside the environment, whose own tests see what is said where mmpose or mmrotate is missing.
BESIDE = track rotated keypoints
test-beside: $(BESIDE:%=test-%)
$(BESIDE:%=test-%): test-%: build/%/installed
	PYTHONPATH=build/$* $(RUN) -m pytest tests/integrations/test_$*.py

ADD = $(RUN) -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes
build/%/installed: locks/%.txt | install
	rm -rf build/$*
	$(ADD) --target build/$* --requirement locks/$*.txt
	@touch $@

# xtcocotools, the last of its file, has no wheel for NumPy 2: Cython, which stands before it, and gcc make one.
build/keypoints/installed: locks/keypoints.txt | install
	rm -rf $(@D)
	csplit --silent --prefix build/keypoints- $< /^xtcocotools/
	$(ADD) --target $(@D) --requirement build/keypoints-00
	PYTHONPATH=$(CURDIR)/$(@D) $(ADD) --target $(@D) --requirement build/keypoints-01 --no-build-isolation --no-binary xtcocotools
	@touch $@

# What only the site's own packages can show: that it builds, and what its pages hold.
test-docs: $(VENV)/installed-docs
	$(RUN) -m pytest tests/docs/test_site.py

# Words that docs/contributing.md ("How we write") replaces by the field's.
WORDS = moving average|likewise|surest|likeliest|run lengths|truth value|cut short|rivals|rehearsal|whole or not

lint: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	@! grep -rnwiE '$(WORDS)' mmgcvit docs README.md configs --include='*.py' --include='*.md' \
		|| (echo 'use the words of PyTorch, mmengine and mmdet: docs/contributing.md, "How we write"'; exit 1)

install:
	@$(PYTHON) tools/installation/install.py $(VENV) --hosts $(HOSTS) --operators $(OPERATORS)

clean:
	rm -rf $(WORK_DIR) $(DIGITS) build/docs build/doctrees build/links

distclean: clean
	rm -rf $(VENV) $(VENV)-upstream $(BESIDE:%=build/%)
