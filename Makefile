# fifo-tools: see README.md. `make` builds, `make check` tests; the other targets are in .PHONY below.
VERSION = 0.1.0

PREFIX = /usr/local
BINDIR = $(PREFIX)/bin
MANDIR = $(PREFIX)/share/man
CFLAGS = -O2 -g
LDFLAGS =
STATIC = 1

WARNINGS = -Wall -Wextra -Wpedantic
FEATURES = -std=c17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFIFO_VERSION='"$(VERSION)"'
BUILD = .build
BIN = bin

COMMANDS = fifo-make fifo-send fifo-recv fifo-rm
# Started once per message by scripts, so these do without a dynamic loader.
STATIC_COMMANDS = fifo-send fifo-recv
SOURCES = $(wildcard src/*.c)
LIBRARY = $(filter-out $(COMMANDS:%=$(BUILD)/%.o),$(SOURCES:src/%.c=$(BUILD)/%.o))
MANUALS = $(wildcard man/*.[157])

all: $(COMMANDS:%=$(BIN)/%)

$(BUILD)/libfifo.a: $(LIBRARY)
	rm -f $@
	$(AR) rcs $@ $(LIBRARY)

$(BUILD)/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(FEATURES) $(WARNINGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

ifeq ($(STATIC),1)
$(STATIC_COMMANDS:%=$(BIN)/%): STATIC_FLAG = -static -Wl,-z,noseparate-code
endif

$(BIN)/%: $(BUILD)/%.o $(BUILD)/libfifo.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(STATIC_FLAG) $(LDFLAGS) -o $@ $< $(BUILD)/libfifo.a $(LDLIBS)

.SECONDARY:
-include $(SOURCES:src/%.c=$(BUILD)/%.d)

clean:
	rm -rf bin .build* $(NAME).tar.gz

# --- tests ---------------------------------------------------------------------------------------------

# Three suites at a time, where there is parallel(1), for they often wait; the longest ones first.
BATS = bats --formatter tap $(if $(shell command -v parallel),--jobs 3 --no-parallelize-within-files)
LONG = tests/batch.bats tests/stream.bats tests/request.bats tests/examples.bats
SUITES = $(LONG) $(filter-out $(LONG),$(wildcard tests/*.bats))

check: all
	$(BATS) $(SUITES)

# Histories, crashes and damage, shortened to a minute or two.
simulate: all
	$(BATS) tests/simulated

# The rules for messages in parts, searched for faults by spin(1); MODEL=full for some minutes.
model:
	tests/model/run.bash $(MODEL)

demo: all
	tests/demo.bash

# The suites again, one at a time, on commands built with the address and undefined behaviour sanitizers, by clang.
ASAN = $(CURDIR)/.build-asan
asan:
	$(MAKE) BUILD=$(ASAN) BIN=$(ASAN)/bin STATIC=0 CC=clang \
	    CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all' all
	FIFO_BIN=$(ASAN)/bin ASAN_OPTIONS=detect_leaks=0:exitcode=99 UBSAN_OPTIONS=exitcode=99 \
	    bats --formatter tap $(filter-out tests/examples.bats tests/no-proc.bats tests/anywhere.bats,$(SUITES)) tests/simulated/crashes.bats

# Memory and descriptors, under valgrind; it cannot see into static programs.
VALGRIND = $(CURDIR)/.build-valgrind
valgrind:
	$(MAKE) BUILD=$(VALGRIND) BIN=$(VALGRIND)/bin STATIC=0 CFLAGS='-O1 -g' all
	FIFO_BIN=$(VALGRIND)/bin $(BATS) tests/valgrind

# The same at full length: make stress RUNS=20
RUNS = 5
stress: all
	for run in $$(seq $(RUNS)); do \
	    rm -rf .build-stress && mkdir .build-stress && (cd .build-stress && \
	    PATH=$(CURDIR)/bin:$$PATH SEED=$$run ../tests/stress/history.bash) || exit 1; \
	done
	for run in $$(seq $(RUNS)); do \
	    PATH=$(CURDIR)/bin:$$PATH SEED=$$run tests/buffered/all.bash || exit 1; \
	done

# How fast it is, beside other programs that are installed: tests/bench/bench.bash has the variables, as in
# `make bench QUICK=1` and `make bench INTO=README.md`.
BENCH = .build-bench
BENCH_PROGRAMS = drive herd empty splice pingpong lines
$(BENCH)/drive $(BENCH)/herd: tests/bench/spawn.c
$(BENCH)/%: tests/bench/%.c tests/bench/spawn.h Makefile
	@mkdir -p $(@D)
	$(CC) $(FEATURES) $(WARNINGS) -O2 $(if $(filter 1,$(STATIC)),-static) -o $@ $(filter %.c,$^)

bench: all $(BENCH_PROGRAMS:%=$(BENCH)/%)
	PATH=$(abspath $(BIN)):$(abspath $(BENCH)):$$PATH RUNS=$(if $(filter command%,$(origin RUNS)),$(RUNS)) \
	    tests/bench/bench.bash

BENCH_SOURCES = $(wildcard tests/bench/*.c)
SCRIPTS = .ci/run $(wildcard tests/*.bash tests/*.bats tests/*/*.bash tests/*/*.bats)
lint:
	clang-format --dry-run -Werror src/*.c src/*.h $(BENCH_SOURCES) tests/bench/*.h
	gcc $(FEATURES) $(WARNINGS) -Werror -O2 -fsyntax-only $(SOURCES) $(BENCH_SOURCES)
	clang $(FEATURES) $(WARNINGS) -Werror -fsyntax-only $(SOURCES) $(BENCH_SOURCES)
	clang-tidy --quiet --warnings-as-errors='*' $(SOURCES) $(BENCH_SOURCES) -- $(FEATURES)
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    --suppress=missingIncludeSystem $(filter-out -std=%,$(FEATURES)) src tests/bench
	shellcheck -x $(SCRIPTS)
	mandoc -Tlint -Wwarning $(MANUALS)

# --- installing ----------------------------------------------------------------------------------------

install: all
	install -d $(DESTDIR)$(BINDIR)
	install $(COMMANDS:%=$(BIN)/%) $(DESTDIR)$(BINDIR)
	for page in $(MANUALS); do \
	    install -D -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/} || exit 1; \
	done

uninstall:
	rm -f $(COMMANDS:%=$(DESTDIR)$(BINDIR)/%)
	for page in $(MANUALS); do rm -f $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}; done

NAME = fifo-tools-$(VERSION)
dist:
	git archive --prefix=$(NAME)/ -o $(NAME).tar.gz HEAD

.PHONY: all check simulate demo install uninstall clean dist lint asan valgrind stress bench model
