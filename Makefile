# Every habit has a verb. `make demo` and `make test` need nothing but Python 3.11, Node 20, Go and git.
.DEFAULT_GOAL := help
PY := .venv/bin/python
KEEP ?= 1

.PHONY: help demo test check setup tools wheel lock format histories vectors replay bench bench-delta soak clean

help: ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: ## the main job on three complete sites (KEEP=0: confirm everything twice, stop, exit by outcome)
	@python3 tools/setup.py python steps servers native wheel
	@$(PY) tools/demo_environment.py
	@exec var/demo/environment/bin/waybill-site demo --directory var/demo --tools .tools $(if $(filter 0,$(KEEP)),--no-keep) $(if $(PORTS),--first-port $(PORTS))

test: ## every test, from a bare machine
	@python3 tools/setup.py python steps servers native wheel
	@WAYBILL_REQUIRE_SERVERS=1 $(PY) -m pytest -n 2 --dist loadgroup || { \
	  echo "== once more, each alone, what failed beside other tests: whole sites on two cores can run out of time"; \
	  WAYBILL_REQUIRE_SERVERS=1 $(PY) -m pytest --last-failed --last-failed-no-failures none; }

check: ## the everyday loop: lint, types, import contracts, pure tests
	@python3 tools/setup.py python steps native
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache
	@$(PY) -m pytest -q -n 2 tests/unit tests/property tests/architecture

setup: ## everything that test and demo need
	@python3 tools/setup.py python steps servers native wheel

tools: ## the Temporal and S3 servers, and the helper of the delta engine
	@python3 tools/setup.py servers native

wheel: ## dist/waybill-*.whl
	@python3 tools/setup.py python steps wheel

format: ## the code as ruff likes it
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

histories: ## record the workflow histories again (before the first tagged version only; say why in the commit)
	@python3 tools/setup.py python servers
	@$(PY) -m tests.record_histories

replay: ## recorded histories against today's workflows
	@$(PY) -m pytest -q tests/workflows/test_replay.py

vectors: ## make the golden vectors again
	@$(PY) tests/vectors/generate.py

bench: ## transfers, orchestration and reads: ratios against named peers in the same run
	@python3 tools/setup.py python steps servers
	@for b in transfer orchestration reads; do echo "== $$b"; $(PY) -m bench.$$b; done

bench-delta: ## bytes, CPU and memory of deltas against named peers (PAIRS=DIR: packages fetched before; ARGS: see bench/delta.py)
	@python3 tools/setup.py python native
	@$(PY) -m bench.delta --fetch $(if $(PAIRS),--pairs $(PAIRS)) $(ARGS)

soak: ## 100,000 corrupted deltas: none accepted, none hangs, none crashes (ARGS: see bench/soak_delta.py)
	@python3 tools/setup.py python native
	@$(PY) -m bench.soak_delta $(if $(PAIRS),--pairs $(PAIRS)) $(ARGS)

lock: ## resolve the requirements again (needs uv)
	@uv pip compile --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --exclude-newer "1 week" --python-version 3.11 -q pyproject.toml -o requirements/runtime.txt
	@uv pip compile --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --exclude-newer "1 week" --python-version 3.11 -q pyproject.toml --group dev -o requirements/dev.txt

clean: ## everything that was made, but for .tools
	@rm -rf .venv dist build var steps/dist steps/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
