# Everything a person does with this repository; `make repro` and `make test` are the two that matter.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export QUJING_MIRROR ?= $(abspath $(wildcard ../shared/data))
PYTHON ?= python3
READY := .venv/.ready

.PHONY: repro test lint check-real bench score-couplets ui server worker clean-spool

repro: $(READY)  ## bring the whole graph up to date, stages side by side, then show what came out
	python -m flows.ahead stages.ready .venv/bin/python -m flows.beside
	python -m stages.restored
	python -m stages.report show

test: $(READY)  ## the fast tests, offline
	pytest -n 2

lint: $(READY)
	ruff check .
	ruff format --check .
	lint-imports
	mypy

check-real: $(READY)  ## slow checks, and checks on the real data in QUJING_MIRROR
	pytest -m "slow or real" -rs

bench: $(READY)  ## ratios against named peers
	python -m benchmarks.bench_words
	python -m benchmarks.bench_pages
	python -m benchmarks.bench_triples
	python -m benchmarks.bench_questions
	python -m benchmarks.bench_vectors
	python -m benchmarks.bench_gan
	pip install -q --no-deps pythae==0.1.2  # what it asks for would put an old dataclasses before Python's own
	python -m benchmarks.bench_vae
	pip install -q --no-deps pytorch_optimizer==4.1.0 einops==0.8.2 g-mlp-pytorch==0.1.5 labml==0.5.3 labml-helpers==0.4.89 labml-nn==0.5.1 mlp-mixer-pytorch==0.3.1 res-mlp-pytorch==0.0.6
	python -m benchmarks.bench_optimisers
	python -m benchmarks.bench_blocks
	python -m benchmarks.bench_logistic
	python -m benchmarks.bench_couplets
	python -m benchmarks.bench_dispatch

score-couplets: $(READY)  ## score couplets nobody here has seen: make score-couplets IN=pairs.tsv OUT=scores
	qujing couplet-score $(IN) $(OUT)

ui: $(READY)  ## MLflow on 127.0.0.1:5000, and Prefect's pages where a server is configured
	@test -z "$$PREFECT_API_URL" || echo "Prefect: $${PREFECT_API_URL%/api}"
	mlflow ui --host 127.0.0.1 --port 5000 --backend-store-uri $${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}

server: $(READY)  ## Prefect and MLflow for several machines, on 127.0.0.1, or elsewhere: make server HOST=10.0.0.5
	python -m flows.server $(if $(HOST),--host $(HOST)) $(if $(DATA),--data $(DATA))

worker: $(READY)  ## take stages on this machine: make worker QUEUE=gpu GPU=0, with PREFECT_API_URL set
	python -m flows.worker --queue $(or $(QUEUE),cpu) $(if $(GPU),--gpu $(GPU)) $(if $(GIB),--gib $(GIB)) \
		$(if $(SLOTS),--slots $(SLOTS)) $(if $(NAME),--name $(NAME))

clean-spool:  ## forget interrupted work and the pages that crawls have fetched
	rm -rf .spool

$(READY): requirements.lock pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	pip install -q -r requirements.lock
	pip install -q --no-deps -e .
	touch $@
