/* A hostile record through a writer of a mapping with every kind of column. Run from the top
 * folder. A writer reads back what it makes; here, that the tuple is whole and always the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/strmap.h"
#include "conf/yaml.h"
#include "schema/mapping.h"
#include "schema/program.h"
#include "schema/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char mapping_text[] =
    "version: 1\ntitle: {en: E, zh: E}\ntype: test.v1.Everything\nsource: s\ntable: t\n"
    "sharing: open\n"
    "columns: {p: char, small: smallint, big: bigint, natural: numeric, zigzag: integer,\n"
    "  fixed: bigint, flag: boolean, real: double, narrow: real, blob: bytea, colour: integer,\n"
    "  at: timestamptz, lat: double, lon: real, tags: 'text[]', numbers: 'text[]', extra: jsonb,\n"
    "  day: date, amount: numeric, uid: uuid, local: timestamp, doc: json}\n"
    "fields:\n"
    "  id: {from: id, normalise: [], required: true}\n"
    "  part: p\n"
    "  text: {from: t, required: true, normalise: [trim, nfc]}\n"
    "  big: big\n"
    "  small: small\n"
    "  natural: {from: natural, required: true}\n"
    "  zigzag: zigzag\n"
    "  fixed: fixed\n"
    "  wide: wide\n"
    "  flag: flag\n"
    "  real: real\n"
    "  narrow: narrow\n"
    "  blob: blob\n"
    "  colour: colour\n"
    "  at: at\n"
    "  address.street: {from: street, normalise: [upper]}\n"
    "  address.geo.latitude: lat\n"
    "  address.geo.longitude: lon\n"
    "  tags: {from: tags, normalise: [trim]}\n"
    "  numbers: numbers\n"
    "  extra: extra\n"
    "  phone: phone\n"
    "  mail: mail\n"
    "  person: {from: person, null_values: ['-']}\n"
    "  day: {from: day, normalise: [cn_date]}\n"
    "  amount: {from: amount, default: '0'}\n"
    "  maybe: maybe\n"
    "  count: {constant: 7}\n"
    "  inner.id: uid\n"
    "  inner.at: {from: local, utc_offset: '+08:00'}\n"
    "  inner.part: {from: {column: both, split: {separator: '|', item: 1}}}\n"
    "  inner.text: {from: {column: both, split: {separator: '|', item: 2}}}\n"
    "  inner.day: {from: [{column: d1, length: 4}, {column: d2, length: 6, rest: ' x'}]}\n"
    "  inner.amount: {from: [m1, m2], separator: '.'}\n"
    "  inner.colour: {from: word, normalise: [{enum: {RED: [r, rouge], GREEN: g}}]}\n"
    "  inner.extra: doc\n"
    "write: {fill: {loaded: now, run: batch}, fields: {count: {skip: true}}}\n";

static struct schema_set *types;
static struct schema_writer *writer;

static void load(void)
{
    static struct arena arena;
    static struct strmap no_tables;
    struct err err = ERR_INIT;
    struct buf content;
    buf_init(&content, SCHEMA_SET_BYTES_MAX);
    int result = yaml_read_file("tests/golden/schema/everything.pb", &content, &err);
    types = result == 0 ? schema_set_load(content.data, content.len, &err) : NULL;
    buf_fini(&content);
    arena_init(&arena);
    strmap_init(&no_tables);
    struct yaml *yaml = yaml_parse("fuzz.yaml", mapping_text, strlen(mapping_text), &err);
    if (types == NULL || yaml == NULL)
        abort();
    struct mapping_context context = {
        .env = { .arena = &arena, .code_tables = &no_tables },
        .types = types,
        .department = "d",
        .dataset = "x",
    };
    struct schema_mapping *mapping = mapping_read(yaml_root(yaml), &context, &err);
    writer = mapping != NULL ? schema_writer_new(&mapping->dataset, NULL, &err) : NULL;
    if (writer == NULL) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    yaml_free(&yaml);
}

/* Every column of a tuple lies inside of it. */
static void check_shape(const struct buf *tuple)
{
    assert(tuple->len >= 2);
    size_t columns = (size_t)tuple->data[0] << 8 | tuple->data[1], at = 2;
    for (size_t i = 0; i < columns; i++) {
        assert(tuple->len - at >= 4);
        const uint8_t *head = tuple->data + at;
        uint32_t len =
            (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
        at += 4;
        if (len == UINT32_MAX)
            continue;
        assert(len <= tuple->len - at);
        at += len;
    }
    assert(at == tuple->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct schema_row_report report;
    struct buf tuple, again;
    if (writer == NULL)
        load();
    buf_init(&tuple, 4 * PLAN_RECORD_BYTES_MAX);
    buf_init(&again, 4 * PLAN_RECORD_BYTES_MAX);
    if (schema_writer_row(writer, data, size, &tuple, &report, &err) != 0)
        abort();
    assert((report.state == ROW_DELIVERED) == (report.code[0] == '\0'));
    if (report.state == ROW_DELIVERED) {
        check_shape(&tuple);
        if (schema_writer_row(writer, data, size, &again, &report, &err) != 0)
            abort();
        assert(again.len == tuple.len && memcmp(again.data, tuple.data, tuple.len) == 0);
    } else {
        assert(tuple.len == 0);
    }
    buf_fini(&tuple);
    buf_fini(&again);
    return 0;
}
