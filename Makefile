# make help lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
# A package index for torch: on a machine without a GPU, PyTorch's index of CPU wheels.
TORCH_INDEX ?=
PORT ?= 8080
# Processes that run the tests; each has an agent of its own, about 1 GB with what it starts. A third
# one uses two cores while the others wait, and takes a fifth of the time away; a fourth one nothing.
TEST_WORKERS ?= 3

PIP = .venv/bin/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run test e2e lint proto docs bench chaos fuzz loadtest models-check variants base-image images manifests charts e2e-containers parliament version clean

help: ## list the targets
	@grep -hE '^[a-z0-9%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

run: .venv/installed-agent ## start an agent and the function on this machine; PORT=8080, MODEL=models/tweets.pt
	@PORT=$(PORT) .venv/bin/python -m scripts.demo

test: .venv/installed-dev .venv-func/installed .venv-parliament/installed .venv-loadtest/installed ## run every test that needs no Debian package
	.venv/bin/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder -m "not e2e and not helm and not containers and not models"

e2e: .venv/installed-dev .venv/installed-charts ## run the tests with a browser, schemathesis, Prometheus, a registry (Debian: chromium chromium-driver prometheus docker-registry skopeo)
	.venv/bin/python -m pytest -n 2 --dist loadfile -m e2e tests/e2e

lint: .venv/installed-dev ## run ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

proto: .venv/installed-dev ## generate the code of the .proto files
	.venv/bin/python -m grpc_tools.protoc -I. --python_out=. --mypy_out=quiet:. \
	  --plugin=protoc-gen-mypy=.venv/bin/protoc-gen-mypy $$(find vaccel_rpc/proto -name '*.proto')

docs: .venv/installed-dev ## generate docs/options.md
	.venv/bin/python -m scripts.options

bench: .venv/installed-dev .venv-servers/installed models/tweets.int8.onnx ## run all benchmarks (an hour): torch; mosec, LitServe with torch, ONNX Runtime; long streams; slow clients; servers
	.venv/bin/python -m benchmarks --peers
	.venv/bin/python -m benchmarks.lines --lines 200000
	.venv/bin/python -m benchmarks.slow
	.venv/bin/python -m benchmarks.servers

chaos: .venv/installed-dev ## end, freeze, slow and cut off agents under load for 10 min while every answer is checked; CHAOS="--seed 2 --address-kind grpc"
	.venv/bin/python -m benchmarks.chaos $(CHAOS)

fuzz: .venv/installed-dev ## fuzz the agent while a client checks its answers (10 min), and the function with a million HTTP requests (30 min)
	.venv/bin/python -m benchmarks.fuzz --seconds 600
	.venv/bin/python -m benchmarks.httpfuzz --messages 1000000

loadtest: .venv-loadtest/installed ## run every user class of loadtests/ against make run for 20 s; PORT=8080
	.venv-loadtest/bin/locust -f loadtests/locustfile.py --headless --only-summary --host http://127.0.0.1:$(PORT) \
	  -u 20 -r 20 -t 20s --shape steady --stop-timeout 15

models-check: .venv/installed-dev ## export small classifiers of every family in each form, serve them, and compare them with transformers' pipeline
	.venv/bin/python -m pytest -n 2 -m models tests/tools

variants: .venv/installed-export ## write the ONNX form and the int8 and bf16 variants of models/tweets.pt, for --precision
	.venv/bin/python -m models.variants onnx models/tweets.pt
	.venv/bin/python -m models.variants int8 models/tweets.pt
	.venv/bin/python -m models.variants int8 --form onnx models/tweets.pt
	.venv/bin/python -m models.variants bf16 models/tweets.pt

models/tweets.int8.onnx: models/tweets.pt | .venv/installed-export
	.venv/bin/python -m models.variants int8 --form onnx models/tweets.pt

base-image: .venv/installed-images ## build a base image where no image registry can be reached (Debian: debootstrap)
	scripts/debian.sh images
	.venv/bin/python -m scripts.baseimage

images: .venv/installed-images ## build the images of function and agent with buildah or docker; IMAGE_PREFIX, TAG, TORCH_INDEX
	@command -v docker >/dev/null && docker info >/dev/null 2>&1 || scripts/debian.sh images
	.venv/bin/python -m scripts.images

manifests: .venv/installed-charts ## generate knative/manifests from the charts
	.venv/bin/python -m scripts.charts manifests

charts: .venv/installed-dev .venv/installed-charts ## lint, document, package (dist/charts) and test the Helm charts
	.venv/bin/python -m scripts.charts charts
	.venv/bin/python -m pytest -m helm tests/deploy

e2e-containers: .venv/installed-dev ## build images; run the guide's pods and thirty cold starts in containers (Debian: podman buildah ...)
	scripts/debian.sh containers
	.venv/bin/python -m scripts.images vaccel-function vaccel-agent vaccel-hello
	REQUIRE_CONTAINERS=1 .venv/bin/python -m pytest -m containers tests/containers $(PYTEST_ARGS)

parliament: .venv/bin/python ## build the wheel for the legacy function root, knative/parliament
	$(PIP) wheel -q --no-deps -w knative/parliament .

version: .venv/installed-dev ## write VERSION=1.2.3 into every file that names the version
	.venv/bin/python -m scripts.version $(VERSION)

clean: ## remove what was installed and built
	rm -rf .venv .venv-func .venv-parliament .venv-loadtest .venv-servers .venv-mosec .venv-litserve .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build docker/wheels/*/ knative/parliament/*.whl

.venv/bin/python:
	@echo "Making .venv"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "python3 -m venv failed; on Debian: apt-get install python3-venv"; rm -rf .venv; exit 1; }

# Extras of pyproject.toml, and its dependency groups with the extras that each of them builds on.
extras_agent = agent
extras_func = func
extras_onnx = agent,onnx
extras_parliament = parliament
extras_dev = agent,onnx,otel
extras_export = agent,onnx
extras_train = agent,onnx
groups = dev export train deploy images charts loadtest servers
group = $(filter $(groups),$*)
packages = -e '.$(if $(extras_$*),[$(extras_$*)])' $(if $(group),--group $(group))
# `pip install --group` needs pip 25.1; Debian 12 has 23.0. Call with the environment's python.
is_new_pip = -c 'import pip, sys; sys.exit(tuple(map(int, pip.__version__.split(".")[:2])) < (25, 1))'
new_pip = $(if $(group),$(1) $(is_new_pip) || $(1) -m pip --disable-pip-version-check install -q 'pip>=25.1')

install-%: .venv/installed-% ## install an extra or dependency group of pyproject.toml into .venv: make install-deploy
	@:

.PRECIOUS: .venv/installed-%
.venv/installed-%: pyproject.toml constraints.txt vaccel_rpc/__init__.py | .venv/bin/python
	@echo "Installing the packages of '$*'; torch is about 200 MB, the first time takes some minutes"
	@$(call new_pip,.venv/bin/python)
	$(PIP) install --progress-bar on -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(packages)
	@touch $@

# Environments of their own: parliament needs cloudevents 1 and func-python needs 2; Locust's gevent
# patches the standard library.
.venv-%/installed: pyproject.toml constraints.txt vaccel_rpc/__init__.py | .venv/bin/python
	@echo "Installing the packages of '$*' into .venv-$*"
	$(PYTHON) -m venv .venv-$*
	grep -v '^cloudevents' constraints.txt > .venv-$*/constraints.txt
	@$(call new_pip,.venv-$*/bin/python)
	.venv-$*/bin/python -m pip --disable-pip-version-check install -q -c .venv-$*/constraints.txt $(packages)
	@touch $@
