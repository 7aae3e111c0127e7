# rouse: `make` gives build/rouse.
VERSION = 0.1.0

MUSL_CC = musl-gcc
CXX = g++
STD = -std=c++20
WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wswitch-enum -Wimplicit-fallthrough -Werror
SMALL = -Os -flto -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-asynchronous-unwind-tables -ffunction-sections \
        -fdata-sections -fstack-protector-strong
# libstdc++'s headers under musl: the vocabulary types need headers only, and nothing of its runtime.
CXX_VERSION := $(shell $(CXX) -dumpversion)
CXX_TARGET := $(shell $(CXX) -dumpmachine)
MUSL_CXX = '-D__GLIBC_PREREQ(a,b)=0' -isystem /usr/include/c++/$(CXX_VERSION) -isystem /usr/include/$(CXX_TARGET)/c++/$(CXX_VERSION)
LINK = -static -no-pie -s -Os -flto -Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,-z,noseparate-code,--build-id=none

SOURCES = $(wildcard src/*.cc)
RELEASE = $(SOURCES:src/%.cc=build/release/%.o)

build/rouse: $(RELEASE)               # linked by the C driver: no C++ runtime can slip in
	$(MUSL_CC) $(LINK) -o $@ $^

build/release/%.o: src/%.cc
	@mkdir -p $(@D)
	REALGCC=$(CXX) $(MUSL_CC) $(STD) $(WARN) $(SMALL) $(MUSL_CXX) -DROUSE_VERSION='"$(VERSION)"' -MMD -MP -c -o $@ $<

-include $(RELEASE:.o=.d)
