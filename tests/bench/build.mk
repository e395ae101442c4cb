# Builds what `make bench` needs beside the gateway, into OUT (an absolute folder): the C++ peers, the
# stream client, the preload for h2load and the Python stubs. Run from the checkout's root by run.sh.
CXX ?= g++
CC ?= gcc
# -O2 as the gateway; what a team that wants speed would choose.
CXXFLAGS := -std=c++17 -O2 -g -MMD -MP -Wall -Wextra -Wshadow -I$(OUT)/gen $(filter-out -I/usr/include,$(shell pkg-config --cflags libpq grpc++))
GRPC_LIBS := $(shell pkg-config --libs grpc++ protobuf)
PROTO_PATH := --proto_path=proto --proto_path=schemas/canonical --proto_path=tests/bench/peers \
	--proto_path=/usr/include

PEER_PROTOS := sluice/options/field.proto gov/division/v1/division.proto peer.proto
PEER_GEN := $(PEER_PROTOS:%.proto=$(OUT)/gen/%.pb.cc) $(OUT)/gen/peer.grpc.pb.cc
PEER_OBJECTS := $(patsubst tests/bench/peers/%.cc,$(OUT)/obj/%.o,$(wildcard tests/bench/peers/*.cc)) \
	$(PEER_GEN:$(OUT)/gen/%.cc=$(OUT)/obj/%.o)
STUB_PROTOS := $(PEER_PROTOS) sluice/v1/record.proto sluice/v1/exchange.proto

all: $(OUT)/bench.pb $(OUT)/peer $(OUT)/stream_client $(OUT)/h2load_preload.so $(OUT)/stubs/made
.PHONY: all
.SECONDARY:
.DELETE_ON_ERROR:

# One call for all of them: the peers' objects need every header.
$(OUT)/gen/made: tests/bench/peers/peer.proto schemas/canonical/gov/division/v1/division.proto \
		proto/sluice/options/field.proto tests/bench/build.mk
	@mkdir -p $(OUT)/gen
	protoc $(PROTO_PATH) --cpp_out=$(OUT)/gen $(PEER_PROTOS)
	protoc $(PROTO_PATH) --plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin) \
		--grpc_out=$(OUT)/gen peer.proto
	@touch $@

$(PEER_GEN): $(OUT)/gen/made ;

$(OUT)/obj/%.o: tests/bench/peers/%.cc $(OUT)/gen/made
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -c -o $@ $<

$(OUT)/obj/%.o: $(OUT)/gen/%.cc
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -w -c -o $@ $<

$(OUT)/obj/stream_client.o: tests/bench/drivers/stream_client.cc
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -c -o $@ $<

$(OUT)/peer: $(PEER_OBJECTS)
	$(CXX) -o $@ $^ $(GRPC_LIBS) -lpq -lcrypto -pthread

$(OUT)/stream_client: $(OUT)/obj/stream_client.o
	$(CXX) -o $@ $^ $(GRPC_LIBS) -pthread

# The record type of the row program's bench.
$(OUT)/bench.pb: $(shell find tests/bench/schema/canonical -name '*.proto')
	@mkdir -p $(@D)
	protoc --proto_path=tests/bench/schema/canonical --proto_path=proto --proto_path=/usr/include --include_imports \
		--include_source_info --descriptor_set_out=$@ $^

$(OUT)/h2load_preload.so: tests/bench/drivers/h2load_preload.c
	$(CC) -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wshadow -Wconversion -Werror -shared -fPIC -o $@ $< -ldl

$(OUT)/stubs/made: $(STUB_PROTOS:%=$(OUT)/stubs/%.seen)
	protoc $(PROTO_PATH) --plugin=protoc-gen-grpc_python=$$(command -v grpc_python_plugin) \
		--python_out=$(OUT)/stubs --grpc_python_out=$(OUT)/stubs $(STUB_PROTOS)
	@touch $@

# A stamp per proto, so that a change of one makes the stubs again.
vpath %.proto proto schemas/canonical tests/bench/peers
$(OUT)/stubs/%.proto.seen: %.proto
	@mkdir -p $(@D)
	@touch $@

-include $(wildcard $(OUT)/obj/*.d $(OUT)/obj/*/*/*.d $(OUT)/obj/*/*/*/*.d)
