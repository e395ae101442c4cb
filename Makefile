# Sluice 数闸. The two commands of the README are `make demo` and `make test`.
# O is the output folder, so that variants (asan, bench, a second checkout's tests) never mix.
O ?= build
CC ?= gcc
PREFIX ?= /usr
SYSCONFDIR ?= /etc
VERSION := $(shell sed -n 's/^\#\# \([0-9][0-9.]*\).*/\1/p' NEWS.md 2>/dev/null | head -1)

# Rooms from the lowest floor to the highest; tests/lint/floors.sh checks who may include whom.
ROOMS := base conf net pg schema authz audit rpc transfer services daemon cli

PKGS := libevent libevent_pthreads openssl libnghttp2 libprotobuf-c libpq jansson libfyaml libutf8proc libcurl libpcre2-8 libzip
PKG_CFLAGS := $(filter-out -I/usr/include,$(shell pkg-config --cflags $(PKGS) 2>/dev/null))
PKG_LIBS := $(shell pkg-config --libs libevent openssl libnghttp2 libprotobuf-c libpq jansson libfyaml libutf8proc libpcre2-8 libzip 2>/dev/null)
CLI_LIBS := $(shell pkg-config --libs libcurl 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wswitch-enum -Wstrict-prototypes -Wvla -Wformat=2 -Wconversion -Werror
HARDEN := -fstack-protector-strong -fstack-clash-protection -fPIE -fno-plt -D_FORTIFY_SOURCE=2
ifdef SAN
HARDEN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDSAN := -fsanitize=address,undefined
endif
ifdef FUZZ
HARDEN := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDSAN := -fsanitize=address,undefined
endif
OPT ?= -O2
CFLAGS += -std=c11 -D_GNU_SOURCE $(OPT) -g -MD -MP $(WARN) $(HARDEN) -Igateway -isystem $(O)/gen $(PKG_CFLAGS) \
	-DSLUICE_VERSION='"$(VERSION)"'
LDFLAGS += -pie -Wl,-z,relro,-z,now $(LDSAN)

# --- generated code ---------------------------------------------------------------------------
PROTO_INCLUDE := /usr/include
PROTOS := $(shell find proto -name '*.proto' 2>/dev/null | sed 's|^proto/||' | sort)
WELL_KNOWN := google/protobuf/any.proto google/protobuf/timestamp.proto google/protobuf/duration.proto \
	google/protobuf/field_mask.proto google/protobuf/descriptor.proto
GEN_C := $(PROTOS:%.proto=$(O)/gen/%.pb-c.c) $(WELL_KNOWN:%.proto=$(O)/gen/%.pb-c.c)
GEN_O := $(GEN_C:.c=.o)
GEN_H := $(GEN_C:.c=.h)

CANONICAL := $(shell find schemas/canonical -name '*.proto' 2>/dev/null | sort)

room_sources = $(wildcard gateway/$(1)/*.c)
room_objects = $(patsubst gateway/%.c,$(O)/obj/%.o,$(filter-out %/main.c,$(call room_sources,$(1))))
ALL_OBJECTS := $(foreach r,$(ROOMS),$(call room_objects,$(r)))
LIBS = $(foreach r,$(1),$(O)/lib/$(r).a) $(O)/lib/gen.a

# `make V=1` shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

.PHONY: all check lint fmt asan fuzz fuzz-programs e2e bench demo demo-down install test test-long clean generated
.SECONDARY:
.DELETE_ON_ERROR:

all: $(O)/sluiced $(O)/sluice $(O)/schemas/canonical.pb

generated: $(GEN_H)

$(O)/gen/%.pb-c.c $(O)/gen/%.pb-c.h: proto/%.proto
	@mkdir -p $(O)/gen
	$(Q)protoc --proto_path=proto --proto_path=$(PROTO_INCLUDE) --c_out=$(O)/gen $<

$(O)/gen/google/protobuf/%.pb-c.c $(O)/gen/google/protobuf/%.pb-c.h: $(PROTO_INCLUDE)/google/protobuf/%.proto
	@mkdir -p $(O)/gen
	$(Q)protoc --proto_path=$(PROTO_INCLUDE) --c_out=$(O)/gen $<

# The gateway's own API descriptors, for reflection, JSON and the pre-scan.
$(O)/gen/api.pb: $(PROTOS:%=proto/%)
	@mkdir -p $(O)/gen
	$(call say,PROTOC,$@)
	$(Q)protoc --proto_path=proto --proto_path=$(PROTO_INCLUDE) --include_imports --descriptor_set_out=$@ $(PROTOS)

# Canonical record types: loaded at run time, never compiled in.
$(O)/schemas/canonical.pb: $(CANONICAL) $(wildcard proto/sluice/options/*.proto)
	@mkdir -p $(O)/schemas
	$(call say,PROTOC,$@)
	$(Q)protoc --proto_path=schemas/canonical --proto_path=proto --proto_path=$(PROTO_INCLUDE) \
		--include_imports --include_source_info --descriptor_set_out=$@ $(CANONICAL)

$(O)/gen/%.pb-c.o: $(O)/gen/%.pb-c.c | generated
	$(Q)$(CC) -std=c11 $(OPT) -g -fPIE $(if $(SAN),-fsanitize=address) -I$(O)/gen -c -o $@ $<

$(O)/lib/gen.a: $(GEN_O)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)ar rcs $@ $^

# --- rooms ------------------------------------------------------------------------------------
$(O)/obj/%.o: gateway/%.c | generated
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

$(O)/obj/rpc/api_descriptors.o: $(O)/gen/api.pb
# Files that stand in every evidence bundle.
$(O)/obj/audit/evidence_build.o: $(wildcard gateway/audit/evidence/*)
$(O)/obj/rpc/api_descriptors.o: CFLAGS += -DAPI_DESCRIPTOR_FILE='"$(O)/gen/api.pb"'

define room_rules
$(O)/lib/$(1).a: $(call room_objects,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room_rules,$(r))))

$(O)/sluiced: $(O)/obj/daemon/main.o $(call LIBS,daemon services transfer rpc audit authz schema pg net conf base)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ -Wl,--start-group $^ -Wl,--end-group $(PKG_LIBS)

$(O)/sluice: $(O)/obj/cli/main.o $(call LIBS,cli audit authz schema pg net conf base)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ -Wl,--start-group $^ -Wl,--end-group $(PKG_LIBS) $(CLI_LIBS)

# --- tests ------------------------------------------------------------------------------------
# tests/unit/<room>/test_x.c links every room; the linker takes what it needs.
UNIT_SRC := $(wildcard tests/unit/*/test_*.c) $(wildcard tests/loopback/test_*.c) $(wildcard tests/fault/test_*.c)
UNIT_BIN := $(UNIT_SRC:tests/%.c=$(O)/tests/%)
TEST_SUPPORT := $(patsubst tests/support/%.c,$(O)/tests/support/%.o,$(wildcard tests/support/*.c))

$(O)/tests/support/%.o: tests/support/%.c | generated
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -Itests -c -o $@ $<

TEST_ROOMS := cli services transfer rpc audit authz schema pg net conf base
$(O)/tests/%: tests/%.c $(TEST_SUPPORT) $(call LIBS,$(TEST_ROOMS))
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CFLAGS) -Wno-conversion -Itests $(LDFLAGS) -o $@ $< $(TEST_SUPPORT) \
		-Wl,--start-group $(call LIBS,$(TEST_ROOMS)) -Wl,--end-group \
		$(PKG_LIBS) $(CLI_LIBS) -lcmocka

# Calls through net/h2, rpc/ and services/ in memory: net/conn.h has a stand-in, and allocations of a
# given size and more can be made to fail. The libraries come last, so that the stand-in is taken.
LOOPBACK_SUPPORT := $(patsubst tests/%.c,$(O)/tests/%.o,$(filter-out $(wildcard tests/loopback/test_*.c),\
	$(wildcard tests/loopback/*.c)))
WRAP := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
# Named one by one: make prefers the general rule above to one whose parts it must first find out about.
$(LOOPBACK_SUPPORT): $(O)/tests/loopback/%.o: tests/loopback/%.c | generated
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -Itests -c -o $@ $<

define loopback_test
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CFLAGS) -Wno-conversion -Itests $(LDFLAGS) $(WRAP) -o $@ $< $(LOOPBACK_SUPPORT) \
		$(TEST_SUPPORT) -Wl,--start-group $(call LIBS,$(TEST_ROOMS)) -Wl,--end-group \
		$(PKG_LIBS) $(CLI_LIBS) -lcmocka
endef
$(O)/tests/loopback/test_%: tests/loopback/test_%.c $(LOOPBACK_SUPPORT) $(TEST_SUPPORT) $(call LIBS,$(TEST_ROOMS))
	$(loopback_test)
$(O)/tests/fault/test_wire_%: tests/fault/test_wire_%.c $(LOOPBACK_SUPPORT) $(TEST_SUPPORT) $(call LIBS,$(TEST_ROOMS))
	$(loopback_test)

# `make check ROOM=schema` runs one room's unit tests; ROOM=loopback and ROOM=fault the others.
CHECK_BIN = $(if $(ROOM),$(filter $(O)/tests/unit/$(ROOM)/% $(O)/tests/$(ROOM)/%,$(UNIT_BIN)),$(UNIT_BIN))
check: $(CHECK_BIN) $(O)/schemas/canonical.pb
	@O=$(O) tests/run-unit.sh $(CHECK_BIN)

lint:
	@tests/lint/run.sh

fmt:
	clang-format -i $$(git ls-files -co --exclude-standard 'gateway/*.[ch]' 'tests/*.[ch]')

# The whole suite: installs what is missing, unit, fault and end-to-end tests, one closing line.
test:
	@tests/run.sh

test-long:
	@tests/run.sh --long

# The same unit tests under AddressSanitizer and UndefinedBehaviorSanitizer.
asan:
	@$(MAKE) --no-print-directory O=$(O)/asan SAN=1 check

# libFuzzer programs, one for each parser; corpora in tests/fuzz/corpus/<name>. FUZZ_SECONDS each;
# FUZZ_ONLY="fuzz_ipc fuzz_token" picks some.
FUZZ_SECONDS ?= 20
FUZZ_NAMES := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_ONLY ?= $(FUZZ_NAMES)
fuzz:
	@$(MAKE) --no-print-directory O=$(O)/fuzz CC=clang FUZZ=1 OPT=-O1 FUZZ_ONLY='$(FUZZ_ONLY)' fuzz-programs
	@O=$(O)/fuzz FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh $(FUZZ_ONLY)

fuzz-programs: $(FUZZ_ONLY:%=$(O)/%) $(O)/schemas/canonical.pb $(O)/gen/api.pb
FUZZ_ROOMS := cli services rpc audit authz schema pg net conf base
# HTTP/2 runs on the connections in memory that the loopback tests use.
$(O)/fuzz_http2: $(O)/tests/loopback/wire.o
$(O)/fuzz_%: tests/fuzz/fuzz_%.c $(call LIBS,$(FUZZ_ROOMS))
	$(call say,FUZZ,$<)
	$(Q)$(CC) $(CFLAGS) -Wno-conversion -Itests -fsanitize=fuzzer,address,undefined -o $@ $< \
		$(filter %.o,$^) -Wl,--start-group $(call LIBS,$(FUZZ_ROOMS)) -Wl,--end-group $(PKG_LIBS) $(CLI_LIBS)

bench:
	@tests/bench/run.sh

# The end-to-end tests alone: `make e2e ARGS='-k lookup'`.
e2e: all
	PYTHONDONTWRITEBYTECODE=1 O=$(O) /usr/bin/python3 -m pytest tests/e2e -q $(ARGS)

# --- demo and installation ----------------------------------------------------------------------
demo:
	@deploy/demo/up.sh

demo-down:
	@deploy/demo/down.sh

install: all
	install -D -m 0755 $(O)/sluiced $(DESTDIR)$(PREFIX)/sbin/sluiced
	install -D -m 0755 $(O)/sluice $(DESTDIR)$(PREFIX)/bin/sluice
	install -D -m 0644 $(O)/schemas/canonical.pb $(DESTDIR)$(PREFIX)/share/sluice/schemas/canonical.pb
	cd schemas && find control departments codes canonical -type f \
		-exec install -D -m 0644 {} $(DESTDIR)$(PREFIX)/share/sluice/schemas/{} \;
	install -D -m 0644 deploy/sluiced.service $(DESTDIR)/lib/systemd/system/sluiced.service
	install -D -m 0644 -t $(DESTDIR)/lib/systemd/system deploy/sluice-transfer@.service deploy/sluice-transfer@.timer
	install -D -m 0640 deploy/sluiced.sample.yaml $(DESTDIR)$(SYSCONFDIR)/sluice/sluiced.yaml.sample

clean:
	rm -rf $(O)

-include $(ALL_OBJECTS:.o=.d) $(O)/obj/daemon/main.d $(O)/obj/cli/main.d $(UNIT_BIN:=.d) $(LOOPBACK_SUPPORT:.o=.d) $(TEST_SUPPORT:.o=.d)
