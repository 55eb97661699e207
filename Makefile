# Everything a person does here. What a target needs beside the .NET 10 SDK, it sets up itself: a first look ('make demo', 'make run') needs nothing.

CONFIGURATION ?= Release
export DOTNET_CLI_TELEMETRY_OPTOUT := 1
export DOTNET_NOLOGO := 1

# $(call built,PROJECT): the folder that the project is built to.
built = artifacts/bin/$(1)/$(shell echo $(CONFIGURATION) | tr A-Z a-z)

# $(call restore,PROJECT): the feed of packages may not answer at first.
restore = for try in 1 2 3; do dotnet restore $(1) -v quiet && break; [ $$try -lt 3 ] || exit 1; echo "restore failed, once more" >&2; done

# $(call build,PROJECT): that project and those it refers to. Analyzers are half of the work, and are for who works on the code: until the tests were built
# once, these builds do without. (What was built without, 'make build' builds again.) A compiler ends before profiles of itself make it faster.
build = $(if $(wildcard artifacts/bin),,echo "Building $(1), which takes about a minute the first time." &&) export DOTNET_TieredPGO=0 && $(restore) && \
	dotnet msbuild $(1) -p:Configuration=$(CONFIGURATION) -v:quiet -nologo $(if $(wildcard artifacts/bin/IommuFd.UnitTests),,-p:RunAnalyzers=false)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo run cluster build bridge test setup format api bench chaos screenshots clean qemu sdk cc postgres chromium compose

help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: sdk ## Drives a context with ioctls and prints each.
	@$(call build,client/cli)
	@dotnet $(call built,iommufd)/iommufd.dll demo

run: sdk ## Starts a silo that stays up until Ctrl-C, with its dashboard on port 8080. Its contexts are durable: their journal is in .state/.
	@$(call build,silo)
	@mkdir -p .state
	@Journal__Path=$${Journal__Path:-.state/iommufd-journal.db} Gateway__Path=$${Gateway__Path:-.state/iommufd.sock} exec dotnet $(call built,IommuFd.Silo)/iommufd-silo.dll

cluster: sdk postgres ## Starts three silos and their database on this machine until Ctrl-C.
	@$(call build,client/cli)
	@SILO=$${SILO:-$(call built,IommuFd.Silo)/iommufd-silo.dll} exec deploy/cluster

build: sdk bridge ## Builds everything.
	@$(call restore,IommuFd.Actors.sln)
	dotnet build IommuFd.Actors.sln -c $(CONFIGURATION) --no-restore -v quiet -nologo

# (Not $(MAKE), which a dry run would start.)
bridge: cc ## Builds the library by which C programs use an emulated /dev/iommu, its examples and its test programs.
	@MAKEFLAGS= make --no-print-directory -s -C bridge
	@MAKEFLAGS= make --no-print-directory -s -C bridge sanitized
	@MAKEFLAGS= make --no-print-directory -s -C tests/bridge

test: setup build ## Checks the format and runs every test. Installs what they need (make setup).
	dotnet format IommuFd.Actors.sln --no-restore --verify-no-changes
	CONFIGURATION=$(CONFIGURATION) tests/run-all

setup: postgres chromium compose ## Installs the Debian packages that tests need, where they are missing, as root or with sudo.

qemu: ## Installs a QEMU that has iommufd, and makes a guest, of Debian's packages: a test that is skipped without boots it.
	@tests/install qemu
	@tests/programs/Guests/make-guest artifacts/qemu

format: sdk ## Formats the code.
	@$(call restore,IommuFd.Actors.sln)
	dotnet format IommuFd.Actors.sln --no-restore

api: sdk ## Accepts the public API of the SDK and the contracts as it is now, in tests/unit/Architecture/*.approved.txt.
	@$(call build,tests/unit)
	IOMMUFD_ACCEPT_API=$(CURDIR)/tests/unit/Architecture dotnet test tests/unit -c $(CONFIGURATION) --no-build --nologo --filter FullyQualifiedName~PublicApi

bench: sdk postgres bridge ## Runs the benchmarks: ratios to Orleans' own speed, in one run.
	@$(MAKE) --no-print-directory -s -C bench/programs
	@$(call build,bench)
	dotnet $(call built,IommuFd.Bench)/IommuFd.Bench.dll $(ARGS)

chaos: sdk postgres bridge ## Kills, pauses and stops silos under load for 5 minutes, and looks for anything lost or done twice.
	@$(call build,tests/chaos)
	dotnet $(call built,IommuFd.Chaos)/IommuFd.Chaos.dll run $(ARGS)

screenshots: sdk chromium ## Makes the pictures of the dashboard in docs/images, of a silo at work.
	@$(call build,tests/browser)
	@mkdir -p docs/images
	IOMMUFD_SCREENSHOTS=$(CURDIR)/docs/images dotnet test tests/browser -c $(CONFIGURATION) --no-build --nologo --filter FullyQualifiedName~Screenshots

clean: ## Removes what was built.
	rm -rf artifacts

sdk:
	@command -v dotnet >/dev/null || { echo "The .NET 10 SDK is needed: https://dotnet.microsoft.com/download/dotnet/10.0" >&2; exit 1; }

cc postgres chromium compose:
	@tests/install $@
