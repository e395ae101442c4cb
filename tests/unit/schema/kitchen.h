/* Compiles the test protos of tests/unit/schema/data with protoc, in a folder of its own.
 * Ownership: what is returned is the caller's.
 * Never calls back.
 * Limits: programs run from the top of the checkout, as tests/run-unit.sh does.
 * Does not keep anything: kitchen_remove takes the folder away. */
#ifndef SLUICE_TESTS_SCHEMA_KITCHEN_H
#define SLUICE_TESTS_SCHEMA_KITCHEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "schema/descriptor.h"

enum { KITCHEN_PATH_BYTES = 256, KITCHEN_COMMAND_BYTES = 2048 };

static char kitchen_folder[KITCHEN_PATH_BYTES];

static inline void kitchen_run(const char *format, const char *argument)
{
    char command[KITCHEN_COMMAND_BYTES];
    int len = snprintf(command, sizeof command,
                       "F='%s'; A='%s'; P='--proto_path=tests/unit/schema/data --proto_path=proto "
                       "--proto_path=/usr/include'; %s",
                       kitchen_folder, argument, format);
    assert_true(len > 0 && (size_t)len < sizeof command);
    assert_int_equal(system(command), 0);
}

static inline uint8_t *kitchen_read(const char *path, size_t *len_r)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long len = ftell(file);
    assert_true(len >= 0);
    rewind(file);
    uint8_t *data = mem_zero((size_t)len + 1);
    assert_int_equal(fread(data, 1, (size_t)len, file), (size_t)len);
    (void)fclose(file);
    *len_r = (size_t)len;
    return data;
}

static inline uint8_t *kitchen_read_local(const char *name, size_t *len_r)
{
    char path[2 * KITCHEN_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", kitchen_folder, name);
    return kitchen_read(path, len_r);
}

static inline void kitchen_make(void)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(kitchen_folder, sizeof kitchen_folder, "%s/sluice-schema-XXXXXX",
                   base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(kitchen_folder));
    kitchen_run("protoc $P --include_imports --include_source_info --descriptor_set_out=$F/all.pb "
                "kitchen_sink.proto proto2.proto sluice/v1/exchange.proto",
                "");
}

static inline void kitchen_remove(void)
{
    kitchen_run("rm -rf \"$F\"", "");
}

static inline struct schema_set *kitchen_load(void)
{
    size_t len;
    uint8_t *data = kitchen_read_local("all.pb", &len);
    struct err err = ERR_INIT;
    struct schema_set *set = schema_set_load(data, len, &err);
    free(data); /* the set copied what it needs */
    if (set == NULL)
        fail_msg("%s", err.text);
    return set;
}

/* Text format -> bytes of `type`, a message of the kitchen or of descriptor.proto. */
static inline uint8_t *kitchen_encode(const char *type, const char *text, size_t *len_r)
{
    char path[2 * KITCHEN_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/in.txt", kitchen_folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    kitchen_run("protoc $P --encode=$A kitchen_sink.proto sluice/v1/exchange.proto "
                "google/protobuf/descriptor.proto <$F/in.txt >$F/out.bin",
                type);
    return kitchen_read_local("out.bin", len_r);
}

#endif
