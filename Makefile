# make              build/rouse and build/rousectl, static binaries
# make demo         Apache on localhost with a sample app behind rouse, until Ctrl-C        (PORT=8080)
# make test         unit and integration tests; like demo it installs what it lacks, as root or with sudo
# make quick        before every commit: unit tests, lint, the fast integration tests
# make unit         doctest under sanitizers, the kernel replaced by a fake                 (CASES='relay*')
# make integration  pytest with the shipped binary             (TESTS='tests/integration/test_20_launch.py')
# make lint         layout, clang-tidy, house rules, build/promises.md: which test shows which promise
# make format       lays the sources out as lint wants them
# make mutate       breaks rouse in one way after another; each must be caught
# make webserver-test   rouse behind five real web servers; it installs what it lacks, as test does
# make appserver-test   real servers of today behind rouse and Apache; it installs what it lacks, too
# make bench        how fast rouse is, beside the least that can be done: tests/bench/README.md       (QUICK=1, PARTS='bare web')
# make conformance  the cases against any bridge: BRIDGE=/path/to/cgi ADAPTER=file.toml TIER=quick INTO=folder, see
#                   tests/conformance/README.md; without BRIDGE against build/rouse
# make selftest     the conformance suite against itself: bridges that are wrong in one way must be caught
# make fixtures-json    every case in build/fixtures.json, for whoever reads no TOML
# make docker-test      what webserver-test does, behind the Apaches of a container, and the images by themselves
# make docker       the images rouse-test and rouse-demo, see docker/README.md      (BASE=debian:bookworm-slim)
# make fresh        README.md's two commands in a Debian root made from nothing, as root
# make clean
VERSION = 0.1.0

CXX = g++
MUSL_CC = musl-gcc
PYTHON = /usr/bin/python3 -B
PYTEST = $(PYTHON) -m pytest -p no:cacheprovider
SIDE_BY_SIDE = -n 5 --dist loadgroup  # a process for each web server: most of such a test is waiting
STD = -std=c++20
WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wswitch-enum -Wimplicit-fallthrough -Werror
PLAIN = -fno-exceptions -fno-rtti -fno-threadsafe-statics -DROUSE_VERSION='"$(VERSION)"'
# For size above all, and at a fixed address: addresses are shorter. No array of strangers' bytes is on the stack without
# the guard; -fstack-protector-strong would guard every function that takes an address, for 3.6 kB.
SMALL = -Oz -fno-expensive-optimizations -flto -fno-pie -fstack-protector -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections \
        -fno-inline-functions-called-once -fno-ipa-cp -fno-partial-inlining -fno-tree-ch -fno-move-loop-invariants \
        -fno-ivopts -fno-if-conversion -fno-jump-tables -fno-tree-loop-optimize -fno-tree-tail-merge -fno-shrink-wrap \
        -fno-tree-dominator-opts $(SMALL_$(CPU))
# src/start.cc stands in for the C library's start where it knows the CPU.
CPU = $(firstword $(subst -, ,$(shell $(CXX) -dumpmachine)))
SMALL_x86_64 = -mno-sse -malign-data=abi -mstack-protector-guard=global
LINK_x86_64 = -nostartfiles
# libstdc++'s headers under musl: the vocabulary types need headers only, and nothing of its runtime.
CXX_HEADERS = /usr/include/c++/$(shell $(CXX) -dumpversion)
CXX_TARGET_HEADERS = /usr/include/$(shell $(CXX) -dumpmachine)/c++/$(shell $(CXX) -dumpversion)
MUSL_CXX = '-D__GLIBC_PREREQ(a,b)=0' -isystem $(CXX_HEADERS) -isystem $(CXX_TARGET_HEADERS)
# What each request writes lies together, because each page costs a moment: by name, .bss.0 is what is large and used at its end,
# .bss.1 what is small, .bss.2 what is large and used at its beginning; then comes what a request mostly has no use for.
LINK = -static -no-pie $(LINK_$(CPU)) -s $(SMALL) -Wl,--gc-sections,--sort-section=name,-z,relro,-z,now,-z,noexecstack,-z,noseparate-code,--build-id=none
# A program is its segments (elf(5)). Behind the last of them stands what linkers and debuggers would look at, a hundredth of the
# file: it ends there instead, and the header names no sections any more (e_shoff; e_shentsize, e_shnum, e_shstrndx).
CUT_SECTIONS = readelf -lW $@.linked | { end=0; while read -r type offset _ _ size _; do \
                   [ "$$type" != LOAD ] || [ $$((size)) = 0 ] || end=$$((offset + size)); done; truncate -s $$end $@.linked; } && \
               printf '\0\0\0\0\0\0\0\0' | dd of=$@.linked bs=1 seek=40 conv=notrunc status=none && \
               printf '\0\0\0\0\0\0' | dd of=$@.linked bs=1 seek=58 conv=notrunc status=none
SANITIZE = -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all

TESTS = tests/integration
QUICK_TESTS = tests/integration/test_20_launch.py tests/integration/test_10_cases.py -k 'test_20_0 or (request and pipes and default)'
CASES = *

SOURCES = $(wildcard src/*.cc src/ctl/*.cc)
ROOMS = $(filter-out src/rouse.cc src/ctl/%,$(SOURCES))
ROUSE = $(patsubst src/%.cc,build/release/%.o,$(ROOMS) src/rouse.cc)
ROUSECTL = $(patsubst src/%.cc,build/release/%.o,$(ROOMS) $(filter src/ctl/%,$(SOURCES)))
# The seam: unit tests bring their own main and their own door to the kernel.
TESTED = $(patsubst src/%.cc,build/debug/%.o,$(filter-out src/sys.cc src/start.cc src/rouse.cc src/ctl/rousectl.cc,$(SOURCES)))
UNIT = $(patsubst tests/unit/%.cc,build/debug/unit/%.o,$(wildcard tests/unit/*.cc))
LAID_OUT = $(wildcard src/*.h src/*.cc src/ctl/*.h src/ctl/*.cc tests/unit/*.h tests/unit/*.cc)

all: build/rouse build/rousectl

build/rouse: $(ROUSE)
build/rousectl: $(ROUSECTL)
build/rouse build/rousectl:           # linked by the C driver: no C++ runtime can slip in
	$(MUSL_CC) $(LINK) -o $@.linked $^
	@$(CUT_SECTIONS)
	@mv $@.linked $@

build/release/%.o: src/%.cc Makefile | tools
	@mkdir -p $(@D)
	REALGCC=$(CXX) $(MUSL_CC) $(STD) $(WARN) $(PLAIN) $(SMALL) $(MUSL_CXX) -Isrc -MMD -MP -c -o $@ $<

# An archive, so that only the rooms that are tested are linked.
build/debug/rooms.a: $(TESTED)
	@rm -f $@
	ar rcs $@ $^

build/unit: $(UNIT) build/debug/rooms.a
	$(CXX) $(SANITIZE) -o $@ $^

build/debug/%.o: src/%.cc Makefile | tools
	@mkdir -p $(@D)
	$(CXX) $(STD) $(WARN) $(PLAIN) $(SANITIZE) -Isrc -MMD -MP -c -o $@ $<

# Half the time to compile without optimisation; what is tested has it, and so has the fake kernel, which runs most.
UNIT_SPEED = -O0 -g1
$(filter-out %_test.o,$(filter build/debug/unit/fake_%,$(UNIT))): UNIT_SPEED = -O2 -g1
build/debug/unit/%.o: tests/unit/%.cc Makefile | tools
	@mkdir -p $(@D)
	$(CXX) $(STD) -Wall -Wextra -Werror $(SANITIZE) $(UNIT_SPEED) -Isrc -Ibuild -MMD -MP -c -o $@ $<

# The rooms of the harness that read a case, and nothing that judges or rewrites one.
READ_A_CASE = $(patsubst %,tests/integration/harness/%.py,byte_strings toml_readers case_keys fixtures)
build/fixtures.table: tests/unit/make_fixture_table.py $(READ_A_CASE) $(wildcard fixtures/cases/*/*.toml) | tools
	@mkdir -p $(@D)
	$(PYTHON) $< $@

# A stamp for each source: clang-tidy looks again when it, or a header that it includes, has changed.
build/tidy/%: src/%.cc build/release/%.o .clang-tidy | tools
	@mkdir -p $(@D)
	clang-tidy --quiet $< -- $(STD) $(PLAIN) -Isrc 2>$@.log || { cat $@.log; exit 1; }
	@touch $@

.PHONY: all tools demo test quick unit integration lint house format mutate webserver-test appserver-test bench conformance selftest \
        fixtures-json docker docker-test fresh clean

# What is missing is named with its Debian package.
tools:
	@tests/needs build $(MAKECMDGOALS)

demo: build/rouse
	@src/demo/run build/rouse $(PORT)

test: unit integration

quick: unit lint
	$(PYTEST) -q $(QUICK_TESTS)

unit: build/unit build/fixtures.table
	build/unit --test-case='$(CASES)'

integration: build/rouse build/rousectl | tools
	$(PYTEST) --durations=10 $(TESTS)

lint: $(SOURCES:src/%.cc=build/tidy/%) build/rouse build/rousectl | tools
	clang-format --dry-run -Werror $(LAID_OUT)
	$(PYTEST) -q tests/integration/test_00_house.py

format: | tools
	clang-format -i $(LAID_OUT)

mutate: | tools
	tests/mutants/run $(MUTANTS)

webserver-test: build/rouse build/rousectl | tools
	$(PYTEST) $(SIDE_BY_SIDE) --durations=10 tests/webserver

appserver-test: build/rouse build/rousectl | tools
	$(PYTEST) -n 4 --dist loadgroup --durations=10 tests/appserver

# Variables for it, such as QUICK, PARTS and PEERS, are its environment.
bench: build/rouse | tools
	@tests/bench/run

BRIDGE = build/rouse
# rouse's own adapter would tell another bridge nothing.
ADAPTER = $(if $(filter $(abspath build/rouse),$(abspath $(BRIDGE))),rouse,$(error BRIDGE=$(BRIDGE) needs ADAPTER=file.toml: \
          tests/conformance/README.md says how to write one))
LEVEL = check
TIER = full
JOBS = 2
REPEAT = 1
SECONDS = 600
SOAK = --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))
conformance: $(filter build/rouse,$(BRIDGE)) | tools
	tests/conformance/run test --bridge $(BRIDGE) --adapter $(ADAPTER) --cases '$(CASES)' --level $(LEVEL) --jobs $(JOBS) \
		--repeat $(REPEAT) --tier $(TIER) $(if $(filter soak,$(TIER)),$(SOAK)) $(if $(INTO),--into '$(INTO)')

# More processes than processors: a bridge that is wrong hangs more than it works.
selftest: build/rouse | tools
	$(PYTEST) -q -n 5 --durations=5 $(wildcard tests/conformance/test_7[1-9]*.py)

fixtures-json: | tools
	tests/conformance/run json build/fixtures.json

# Compilers and web servers are in the images: beside Docker this machine needs nothing.
docker:
	@tests/needs docker $(MAKECMDGOALS)
	@docker/daemon
	docker/images $(BASE)

docker-test: docker
	$(PYTEST) $(SIDE_BY_SIDE) --durations=10 tests/webserver --image rouse-test

fresh: | tools
	tests/fresh

clean:
	rm -rf build

-include $(ROUSE:.o=.d) $(ROUSECTL:.o=.d) $(TESTED:.o=.d) $(UNIT:.o=.d)
