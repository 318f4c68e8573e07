# Plain `make` compiles the protobuf and the sources.
.DEFAULT_GOAL := compile
.PHONY: help install build compile test lint check bench gencert clean

help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

install: ## Install dependencies if package-lock.json changed
	@./scripts/prepare.sh install

compile: install ## The default: install, compile proto to src/gen, and src to dist
	@npm run --silent generate
	@./scripts/prepare.sh build

build:
	@./scripts/prepare.sh build

test: build ## Install, compile, and run the whole test suite
	@npm test --silent $(if $(TEST_REPORT),-- --json --outputFile='$(TEST_REPORT)')

lint: install ## Check format, lint, import rules, unused code, and protobuf
	@npm run --silent lint

check: build ## Run everything that CI runs except the long tests
	@npm run --silent check

bench: build ## Run the benchmarks; make bench ARGS='--json FILE' for JSON
	@npm run --silent bench -- $(ARGS)

gencert: ## Make certificates with CFSSL; CONFIG_PATH=DIR NODES="n1 n2" HOSTS=a,b FORCE=1
	@./scripts/gencert.sh

clean: ## Remove installed and compiled files; keeps golog-data
	rm -rf dist node_modules coverage
