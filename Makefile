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

all: $(COMMANDS:%=bin/%)

$(BUILD)/libfifo.a: $(LIBRARY)
	rm -f $@
	$(AR) rcs $@ $(LIBRARY)

$(BUILD)/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(FEATURES) $(WARNINGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

ifeq ($(STATIC),1)
$(STATIC_COMMANDS:%=bin/%): STATIC_FLAG = -static
endif

bin/%: $(BUILD)/%.o $(BUILD)/libfifo.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(STATIC_FLAG) $(LDFLAGS) -o $@ $< $(BUILD)/libfifo.a $(LDLIBS)

-include $(SOURCES:src/%.c=$(BUILD)/%.d)

clean:
	rm -rf bin .build*

.PHONY: all clean
