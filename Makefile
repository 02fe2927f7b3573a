# make demo           install, then train and score a detector on scanned digits, from a GC ViT
#                     classifier
# make demo-seg       the same with semantic segmentation (UPerNet)
# make test           lint, and run all tests except the long ones and the demos
# make test-all       run those too: it trains the demos and checks their scores
# make test-release  run the further cases of long tests that are only run before a release: about
#                     half an hour
# make test-upstream  run the tests that use the OpenMMLab packages with the original packages and
#                     torch 2.1, in a separate environment; make test-upstream-all runs all tests
#                     there
# make test-gpu       run the GPU tests and measure speed and memory on a GPU; DEVICE=cpu runs the
#                     same code on small inputs on a CPU. make gpu-wheels downloads the wheels that
#                     a machine without network needs
# make test-beside    run the tests of packages that are installed into separate folders: mmrotate
#                     (rotated), mmpose (keypoints), transformers 5 (transformers5), beside which
#                     mmpretrain cannot be imported; make test-rotated runs one of them. Part of
#                     test-all
# make test-docs      build the documentation and check its pages. Part of test-all
# make install        install into a virtual environment
# make lint           run ruff, and check the words of the documentation
# make types          check the types of the package, and those that the programs of the
#                     documentation use. Part of test-all
# make docs           build the documentation, build/docs/index.html; make docs-links checks its
#                     external links
# make clean          remove the files of the demos; make distclean removes the environments too

PYTHON ?= python3
VENV ?= .venv
# The OpenMMLab packages: maintained (forks that run with current torch) or upstream (the original
# packages).
OPENMMLAB ?= maintained
# mmcv's operators: torchvision (no compiler), compiled, or auto (compiled if there is a GPU and a
# matching nvcc).
OPERATORS ?= auto
RUN = $(VENV)/bin/python
# At most 4 processes run tests, one per core. Each needs up to 2 GB, and its fork server 1 GB.
TEST_PROCESSES ?= $(shell n=$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? n : 4)))

# Containers often set it. Each process would then compile torch and OpenMMLab again: 6 s.
unexport PYTHONDONTWRITEBYTECODE

DIGITS := data/digits
WORK_DIR ?= work_dirs/demo

.PHONY: demo demo-seg test test-slow test-all test-release test-gpu benchmark gpu-wheels \
	test-beside test-docs test-upstream test-upstream-all lint types check-types docs docs-links \
	install clean distclean

TRAIN = $(RUN) -m mmgcvit train --overwrite --progress
demo: $(DIGITS)
	@$(TRAIN) configs/demo/mask_rcnn_gcvit_digits.py --work-dir $(WORK_DIR)/detector

demo-seg: $(DIGITS)
	@$(TRAIN) configs/demo/upernet_gcvit_digits.py --work-dir $(WORK_DIR)/segmentor

$(DIGITS): | install
	@$(RUN) tools/make_digits.py $@

SHORT = not demo and not long and not release
test: lint
	$(RUN) -m pytest -m 'not slow and $(SHORT)' -n $(TEST_PROCESSES) --dist worksteal

# Continuous integration runs these on each Python, and the rest of test-all on one.
test-slow: install
	$(RUN) -m pytest -m 'slow and $(SHORT)' -n $(TEST_PROCESSES) --dist worksteal

# The demos train in one process while the slow and long tests run in the others. The other targets,
# and those that ALSO names, use one process each and run in parallel. The documentation's packages
# are installed first, so that no target changes the environment meanwhile. Each target's output is
# shown when it has ended.
test-all: test
	$(RUN) -m pytest -m '(slow or long or demo) and not release' -n $(TEST_PROCESSES) \
		--dist loadfile --no-loadscope-reorder
	-$(if $(filter maintained,$(OPENMMLAB)),$(MAKE) $(VENV)/installed-docs)
	OMP_NUM_THREADS=1 $(MAKE) --jobs $(TEST_PROCESSES) --keep-going --output-sync \
		TEST_PROCESSES=1 DEVICE=cpu $(ALSO) test-gpu \
		$(if $(filter maintained,$(OPENMMLAB)),test-beside test-docs check-types)

# Continuous integration ends after 90 minutes, and these cases differ little from those of test-all.
test-release: install
	$(RUN) -m pytest -m release -n $(TEST_PROCESSES) --dist worksteal

DEVICE ?= cuda
BENCHMARK = $(RUN) tools/benchmark.py --device $(DEVICE)
PLAIN = tests.models.gcvit.plain:PlainGCViT
OTHERS = timm:gcvit_tiny swin:tiny convnext:tiny
GPU_TESTS = $(addprefix tests/,gpu models predict checkpoints tools/test_demo.py)
# After a failed test the tables are printed too. Imports take 20 s in each process on some
# machines.
test-gpu: install
	MMGCVIT_TEST_DEVICE=$(DEVICE) $(RUN) -m pytest \
		$(if $(filter cpu,$(DEVICE)),tests/gpu,-m 'gpu and not long' $(GPU_TESTS)); \
	status=$$?; \
	$(if $(filter cuda,$(DEVICE)),$(MAKE) --no-print-directory benchmark &&) exit $$status

NEW_SIZES = 800x1344 640x1088 736x1216 480x800 672x1120 800x1056 512x864 768x1344 704x1184
benchmark:
	$(BENCHMARK) gcvit:tiny@16 swin:tiny \
		configs/mask_rcnn_gcvit_t.py configs/baselines/mask_rcnn_swin_t.py --first-steps \
		--sizes $(NEW_SIZES) --batch 2 --modes train --precisions bf16 --rounds 2
	$(BENCHMARK) gcvit:tiny gcvit:tiny+$(PLAIN) $(OTHERS) \
		--batch 64 --modes infer train --precisions fp32 bf16
	$(BENCHMARK) gcvit:tiny@24 gcvit:tiny@24+$(PLAIN) gcvit:tiny@16 gcvit:tiny@16+$(PLAIN) \
		swin:tiny convnext:tiny \
		--sizes 800x1333 --batch 2 --modes infer train --precisions fp32 bf16
	$(BENCHMARK) configs/mask_rcnn_gcvit_t.py configs/cascade_gcvit_b.py \
		--sizes 800x1333 --batch 2 --modes infer train --precisions bf16
	$(BENCHMARK) gcvit:tiny $(OTHERS) --batch 64 --modes infer train --precisions bf16 --run compiled

# tools/installation/gpu_wheels.py says how to install the wheels on the GPU machine.
gpu-wheels: install
	$(RUN) tools/installation/gpu_wheels.py build/gpu-wheels

# Tests of the backbone contract, of loading, and of training, resuming and testing for each task.
UPSTREAM = VENV=$(VENV)-upstream OPENMMLAB=upstream
OPENMMLAB_TESTS = $(addprefix tests/,checkpoints engine/hooks/test_exact_resume.py \
	engine/hooks/test_new_schedule.py models/contract/test_backbones.py models/gcvit models/lsa \
	ops host fixes tools/test_short_trainings.py tools/test_training.py)
test-upstream:
	$(MAKE) install $(UPSTREAM)
	$(VENV)-upstream/bin/python -m pytest -m '$(SHORT)' -n $(TEST_PROCESSES) --dist worksteal \
		$(OPENMMLAB_TESTS)

test-upstream-all:
	$(MAKE) test-all $(UPSTREAM)

# Warnings of Sphinx are errors. Its packages are installed when they are first needed, with their
# hashes checked.
SPHINX = $(RUN) -m sphinx --quiet --fail-on-warning --keep-going --fresh-env --write-all -c docs \
	-d build/doctrees

docs: $(VENV)/installed-docs
	rm -rf build/docs
	$(SPHINX) -b html . build/docs
	@echo "The site: build/docs/index.html"

docs-links: $(VENV)/installed-docs
	$(SPHINX) -b linkcheck . build/links

$(VENV)/installed-docs: locks/docs.txt | install
	@$(RUN) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || (echo "The site is built by \
	Python 3.11 or later: make docs VENV=.venv-docs PYTHON=python3.11"; exit 1)
	$(ADD) --requirement locks/docs.txt
	@touch $@

# These packages are installed outside of the environment, because its tests check the errors for
# missing packages.
BESIDE = rotated keypoints transformers5
test-beside: $(BESIDE:%=test-%)
$(BESIDE:%=test-%): test-%: build/%/installed
	PYTHONPATH=build/$* $(RUN) -m pytest tests/integrations -k $*

ADD = $(RUN) -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes
build/%/installed: locks/%.txt | install
	rm -rf build/$*
	$(ADD) --target build/$* --requirement locks/$*.txt
	@touch $@

# xtcocotools, the last package of its file, has no wheel for NumPy 2. It is built with Cython,
# which comes before it in the file, and gcc.
build/keypoints/installed: locks/keypoints.txt | install
	rm -rf $(@D)
	csplit -s -f build/keypoints- $< /^xtcocotools/
	$(ADD) --target $(@D) --requirement build/keypoints-00
	PYTHONPATH=$(CURDIR)/$(@D) $(ADD) --target $(@D) --requirement build/keypoints-01 \
		--no-build-isolation --no-binary xtcocotools
	@touch $@

# Tests that need Sphinx: that the documentation builds, and what its pages contain.
test-docs: $(VENV)/installed-docs
	$(RUN) -m pytest tests/docs/test_site.py

types: check-types
	$(RUN) -m pytest tests/docs/test_blocks.py -k type_errors

# The numbers of errors are those with the maintained packages.
check-types: install
	$(RUN) dev/check_types.py

# Words that docs/contributing.md ("How we write") asks to replace by common terms.
WORDS = moving average|likewise|surest|likeliest|run lengths|truth value|cut short|rivals|$\
	rehearsal|whole or not

lint: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	@! grep -rnwiE '$(WORDS)' mmgcvit docs README.md configs --include='*.py' --include='*.md' \
		|| (echo 'use the words of the field: docs/contributing.md, "How we write"'; exit 1)

install:
	@$(PYTHON) tools/installation/install.py $(VENV) --openmmlab $(OPENMMLAB) --operators $(OPERATORS)

clean:
	rm -rf $(WORK_DIR) $(DIGITS) build/docs build/doctrees build/links

distclean: clean
	rm -rf $(VENV) $(VENV)-upstream $(BESIDE:%=build/%)
