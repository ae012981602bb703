# `make synth` and `make test` are the whole set-up: they install what they need, in this folder.
#
#   make synth [INSTANCES=file|folder] [OUT=folder]   instance files -> manifests (instances/ -> dist/)
#   make new NAME=aim [STORAGE=nfs] [ACCESS=namespace]   a commented instance file to begin with
#   make validate                                     whether the instance files can work; writes nothing
#   make diff [AGAINST=revision|cluster] [MARKDOWN=1]    what they would change, and what cannot be applied or loses something
#   make login USERS="ann" TOKENS="train" [NAMESPACE=aim] [SECRET=aim-users]   Secrets of a login, to standard output
#   make restore INSTANCE=name [SNAPSHOT=id] [INTO=claim] [RUN=hash]   prints the Job that brings a copy back
#   make test [WORKERS=2] [LONG=1]                     everything but lint, with the coverage of all but the supervisor
#   make compat [PYTHON=...] [RESOLUTION=highest]     the tests that run no pod, with the lowest or newest dependencies
#   make lint                                         ruff, import-linter, mypy, hadolint, shellcheck
#   make audit                                        checkov and kube-score: nothing found but what is answered
#   make docs                                         the site of docs/, into site/; draws its pictures of manifests anew
#   make bench [RUNS=200] [PART=search]               what synthesis costs, and serving against the guide; or only the
#                                                     part with so many runs, 2000 otherwise, or a part of that
#   make cluster, make cluster-down                   a Kubernetes of one node on this machine, and its end
#   make e2e [SMOKE=1]                                tests on the cluster of KUBECONFIG, all or the part that CI runs
#   make image IMAGE=name:tag [PUSH=1]                the container image; pushed, its digest is printed
#   make snapshots schema imports lock                make committed files anew
#   make release VERSION=x.y.z                        prepares a release in this folder and .release/, and says what remains

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
MAKEFLAGS += --no-print-directory

FIT := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do $$p -c '$(FIT)' 2>/dev/null && echo $$p && break; done)
PIP := .venv/bin/python -m pip --disable-pip-version-check --quiet install --no-warn-script-location
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export CDK8S_CHECK_UPGRADE := false
export IMAGE PUSH ENGINE BUILD_FLAGS

.PHONY: synth new validate diff login restore test compat lint audit docs bench cluster cluster-down e2e image snapshots schema imports lock release clean

# -O: jsii checks the type of each argument otherwise, a fifth of the time; the instance file is checked already
synth: .venv/.app
	@INSTANCES="$${INSTANCES-}" CDK8S_OUTDIR="$${OUT-$${CDK8S_OUTDIR-}}" python -O main.py

new: .venv/.app
	@[ -n "$${NAME-}" ] || { echo "make new: NAME is missing: make new NAME=vision" >&2; exit 1; }
	python -m app.instances.new "$$NAME" $${NAMESPACE:+--namespace "$$NAMESPACE"} $${STORAGE:+--storage "$$STORAGE"} $${ACCESS:+--access "$$ACCESS"}

validate: .venv/.app
	@python -m app.validate

diff: .venv/.app
	@CDK8S_OUTDIR="$${OUT-$${CDK8S_OUTDIR-}}" python -m app.changes $${AGAINST:+--against "$$AGAINST"} $${MARKDOWN:+--markdown}

login: .venv/.app
	@USERS="$${USERS-}" TOKENS="$${TOKENS-}" REMOVE="$${REMOVE-}" NAMESPACE="$${NAMESPACE-}" SECRET="$${SECRET-}" python -m app.login

export INSTANCE SNAPSHOT INTO RUN
restore: .venv/.app
	@python -m app.restore

test: .venv/.dev node_modules/.done .venv-aim/bin/aim
	@python -m pytest --cov $(if $(WORKERS),-n $(WORKERS) --dist loadfile)

# with an environment of its own: lowest-direct takes the lowest versions that pyproject.toml names. The tools of tests are
# the newest, and may warn of each other
RESOLUTION ?= lowest-direct
compat: .venv/.dev node_modules/.done
	@uv venv --quiet --clear --seed --python $(PYTHON) .venv-compat
	uv pip compile --quiet --python $(PYTHON) --resolution $(RESOLUTION) pyproject.toml --group app -o .venv-compat/pins.txt
	uv pip install --quiet --python .venv-compat -r .venv-compat/pins.txt --group dev
	.venv-compat/bin/python -m pytest -m "not pod" -W default

lint: .venv/.dev
	@ruff check --quiet
	ruff format --check --quiet
	out=$$(lint-imports --no-cache) || { echo "$$out"; exit 1; }
	mypy
	hadolint image/Dockerfile
	git grep --files-with-matches --extended-regexp '^#!.*sh$$' | xargs shellcheck tests/e2e/cluster/env.sh

# checkov in an environment of its own: it and cdk8s want different versions of the same libraries. kube-score asks for two
# replicas and a rolling update, which would be two servers on one store; and as checkov, for images that are always pulled
audit: .venv/.dev
	@uvx --quiet --python $(PYTHON) checkov==3.3.30 --config-file .checkov.yaml --directory dist --directory image
	go run github.com/zegl/kube-score/cmd/kube-score@v1.20.0 score --output-format ci dist/*.k8s.yaml \
		--ignore-test container-image-pull-policy,deployment-strategy,deployment-replicas | { grep -v '^.\(OK\|SKIPPED\)' || true; }

docs: .venv/.dev
	@python -m app.picture
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict  # with --quiet, it counts no warnings
	echo "make docs: open site/index.html"

bench: .venv/.dev .venv-aim/bin/aim
	@RUNS="$${RUNS-}" python -m bench

# its volumes and network policies are made by a program that imports what .venv has
cluster: .venv/.app
	@tests/e2e/cluster/up

cluster-down:
	@tests/e2e/cluster/down

e2e: .venv/.dev
	@E2E=1 python -m pytest tests/e2e $(if $(SMOKE),-m smoke)

image:
	@image/build

snapshots: .venv/.dev
	@python -m pytest --snapshot-update -q
	git status --short tests

schema: .venv/.app
	@python -m app.instances.schema > instances/schema.json
	python -m app.instances.reference > docs/reference/instance-file.md

imports: node_modules/.done
	@npx cdk8s import

lock: .venv/.dev
	@compile() { uv pip compile --quiet --universal --upgrade --no-header --no-annotate "$$@"; }
	compile pyproject.toml --python-version 3.10 --group app --output-file requirements.txt
	compile pyproject.toml --python-version 3.10 --group dev --output-file requirements-dev.txt
	compile --python-version 3.9 --group pyproject.toml:aim --output-file tests/aim-requirements.txt
	image() { uv pip compile --quiet --upgrade --no-header --no-annotate --generate-hashes --python-version 3.11 --python-platform linux "$$@"; }
	image --group pyproject.toml:aim --output-file image/requirements.txt
	image --group pyproject.toml:aim-build --output-file image/build-requirements.txt
	image/bill
	npm install --package-lock-only

release: .venv/.dev
	@python -m release "$(VERSION)"

clean:
	@rm -rf .release .venv .venv-aim .venv-compat node_modules

.venv/.app: requirements.txt
	@[ -n "$(PYTHON)" ] || { echo "make: no Python 3.10 to 3.13 on PATH; install one, or name it: make PYTHON=..." >&2; exit 1; }
	echo "make: installs cdk8s into .venv, once: about a minute" >&2
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements.txt
	python -m compileall -q -o 0 -o 1 .venv/lib  # uncompiled, cdk8s-plus takes two seconds to import
	touch $@

.venv/.dev: requirements-dev.txt .venv/.app
	@$(PIP) -r requirements-dev.txt
	touch $@

node_modules/.done: package-lock.json .venv/.app
	@npm ci --silent
	touch $@

# the real Aim, in an environment of its own: it and cdk8s want different versions of the same libraries
.venv-aim/bin/aim: tests/aim-requirements.txt .venv/.app
	@python -m tests.harness.aim_environment
