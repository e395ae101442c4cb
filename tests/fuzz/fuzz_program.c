/* Binary rows of every column type through representative programs. Run from the top folder. The first
 * byte chooses the program; then each column of its statement takes a length byte and that many bytes:
 * 0xff is SQL NULL, 0xfe is followed by a length of two bytes. A row ends quarantined, as a duplicate, as
 * malformed, or as a record that a receiver's pre-scan accepts; the same row gives the same answer. */
#include <assert.h>
#include <libpq-fe.h>
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
#include "schema/plan.h"
#include "schema/prescan.h"

enum { COLUMNS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const bodies[] = {
    /* texts and their chains */
    "fields:\n  id: a\n  text: {from: b, normalise: [trim, width_fold, upper]}\n"
    "  person: {from: c, on_error: absent}\n  day: {from: d, normalise: [cn_date], null_values: "
    "['-']}\n"
    "  amount: {from: e, normalise: [decimal]}\n  flag: {from: f, normalise: [bool]}\n"
    "  colour: {from: g, codes: {r: RED, g: '2'}}\n  big: h\n  real: i\n  at: j\n"
    "  part: {from: [{column: k, length: 2, rest: '0'}, {column: l, substr: [2, 2]}]}\n"
    "  maybe: {coalesce: [m, n], null_values: ['', NA]}\n  address.street: o\n  "
    "address.geo.latitude: p\n",
    /* numbers */
    "columns: {b: int2, c: int4, d: int8, e: numeric, f: float4, g: float8, h: bool, i: numeric, "
    "j: int4}\n"
    "fields:\n  id: a\n  small: b\n  count: c\n  big: d\n  amount: e\n  narrow: f\n  real: g\n  "
    "flag: h\n"
    "  natural: {from: i, on_error: absent}\n  colour: j\n  wide: {coalesce: [d, c]}\n  zigzag: "
    "{from: c, "
    "null_values: ['-1'], default: 5}\n  fixed: {from: j, on_error: absent}\n",
    /* dates, times, addresses */
    "columns: {b: date, c: time, d: timetz, e: timestamp, f: timestamptz, g: interval, h: inet, i: "
    "cidr, "
    "j: uuid, k: timestamptz}\n"
    "fields:\n  id: a\n  day: b\n  text: c\n  part: d\n  at: {from: e, utc_offset: '-07:30'}\n"
    "  maybe: f\n  amount: g\n  phone: h\n  address.street: i\n  address.town: j\n"
    "  inner.at: {from: k, null_values: ['2000-01-01T00:00:00Z']}\n",
    /* bytes, documents, enumerations */
    "columns: {b: bytea, c: bytea, d: json, e: jsonb, f: enum, g: char, h: jsonb}\n"
    "fields:\n  id: a\n  blob: b\n  text: {from: c, normalise: [gb18030, trim]}\n  part: d\n  "
    "extra: e\n"
    "  colour: {from: f, on_error: absent}\n  amount: g\n  maybe: h\n",
    /* arrays */
    "columns: {b: 'text[]', c: 'int4[]', d: 'timestamptz[]', e: 'enum[]', f: 'bytea[]'}\n"
    "fields:\n  id: a\n  tags: {from: b, normalise: [trim]}\n  numbers: c\n  times: d\n"
    "  colours: {from: e, on_error: absent}\n  blobs: f\n",
    "columns: {b: 'numeric[]', c: 'int8[]', d: 'interval[]', e: 'inet[]'}\n"
    "fields:\n  id: a\n  tags: b\n  numbers: c\n  inner.tags: d\n  address.notes: e\n",
    /* other fields, warnings that reject, duplicates */
    "columns: {g: int4}\nescalate: [CN_ID_CENTURY]\nduplicates: {keep: last, by: g}\n"
    "fields:\n  id: a\n  person: b\n  day: {from: c, normalise: [cn_date], from_field: {field: "
    "person, take: "
    "birth_date, decides: column}}\n  colour: {from: d, normalise: [cn_sex], from_field: {field: "
    "person, "
    "take: sex, decides: field}}\n  part: {from_field: {field: person, take: division}}\n  big: "
    "g\n",
    /* child tables */
    "key: [id, part]\nfields:\n  id: a\n  part: b\n  addresses:\n"
    "    child: {table: c, join: {k: a}, order: [n], max: 9, columns: {w: float8, z: 'text[]', q: "
    "timestamp, "
    "e: enum}}\n"
    "    fields: {street: {from: s, required: true}, geo.latitude: w, notes: z, since: {from: q, "
    "utc_offset: '+08:00'}, kind: {from: e, on_error: absent}}\n"
    "  numbers: {child: {table: d, join: {k: b}, order: [n], columns: {n: int2}}, from: n}\n"
    "  tags: {child: {table: d, join: {k: b}, order: [n]}, from: v, normalise: [trim]}\n",
};
enum { PROGRAM_COUNT = sizeof bodies / sizeof bodies[0] };

static struct schema_set *types;
static struct strmap no_tables;
static struct arena arena;
static struct schema_plan *plans[PROGRAM_COUNT];
static const struct schema_mapping *mappings[PROGRAM_COUNT];
static int widths[PROGRAM_COUNT]; /* columns of the statement's result */

/* All columns, one a child, one for the rank of duplicates: as the plan selects them. */
static int result_width(const struct schema_mapping *mapping)
{
    int width = (int)mapping->column_count + (mapping->duplicates != DUPLICATES_ERROR);
    for (size_t i = 0; i < mapping->leaf_count; i++)
        width += mapping->leaves[i].child != NULL;
    return width;
}

static void load_program(size_t index)
{
    static const char head[] = "version: 1\ntitle: {en: E, zh: E}\ntype: test.v1.Everything\n"
                               "source: s\ntable: t\nsharing: open\n";
    uint8_t fields[PLAN_BITMAP_BYTES];
    char *text = arena_format(&arena, "%s%s", head, bodies[index]);
    struct err err = ERR_INIT;
    struct yaml *yaml = yaml_parse("fuzz.yaml", text, strlen(text), &err);
    struct mapping_context context = { .env = { .arena = &arena, .code_tables = &no_tables },
                                       .types = types,
                                       .department = "d",
                                       .dataset = "x" };
    if (yaml != NULL)
        mappings[index] = mapping_read(yaml_root(yaml), &context, &err);
    if (mappings[index] == NULL) {
        (void)fprintf(stderr, "program %zu: %s\n", index, err.text);
        abort();
    }
    yaml_free(&yaml);
    memset(fields, 0xff, sizeof fields);
    plans[index] = schema_plan_new(&mappings[index]->dataset, fields, NULL, &err);
    widths[index] = result_width(mappings[index]);
}

static void load(void)
{
    struct err err = ERR_INIT;
    struct buf content;
    buf_init(&content, SCHEMA_SET_BYTES_MAX);
    int result = yaml_read_file("tests/golden/schema/everything.pb", &content, &err);
    types = result == 0 ? schema_set_load(content.data, content.len, &err) : NULL;
    if (types == NULL)
        abort();
    buf_fini(&content);
    strmap_init(&no_tables);
    arena_init(&arena);
    for (size_t i = 0; i < PROGRAM_COUNT; i++)
        load_program(i);
}

static size_t take_length(const uint8_t **data, size_t *size, bool *null_r)
{
    size_t len = *size > 0 ? (*data)[0] : 0xff;
    size_t used = *size > 0;
    if (len == 0xfe && *size >= 3) {
        len = (size_t)(*data)[1] << 8 | (*data)[2];
        used = 3;
        *null_r = false;
    } else {
        *null_r = len == 0xff;
    }
    *data += used;
    *size -= used;
    return *null_r ? 0 : len < *size ? len : *size;
}

static PGresult *make_row(int width, const uint8_t *data, size_t size)
{
    PGresAttDesc columns[COLUMNS_MAX];
    memset(columns, 0, sizeof columns);
    for (int i = 0; i < width; i++)
        columns[i].name = (char *)"c";
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    (void)PQsetResultAttrs(result, width, columns);
    for (int i = 0; i < width; i++) {
        bool null = false;
        size_t len = take_length(&data, &size, &null);
        (void)PQsetvalue(result, 0, i, (char *)(uintptr_t)data, null ? -1 : (int)len);
        data += len;
        size -= len;
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (types == NULL)
        load();
    if (size == 0)
        return 0;
    size_t index = data[0] % PROGRAM_COUNT;
    PGresult *result = make_row(widths[index], data + 1, size - 1);
    const struct db_rows *rows = (const struct db_rows *)(const void *)result;
    const struct schema_plan *plan = plans[index];
    struct schema_row_report first, second;
    char key[PLAN_KEY_TEXT_BYTES_MAX], cursor[PLAN_KEY_TEXT_BYTES_MAX];
    struct err err = ERR_INIT;
    struct buf out, again;
    buf_init(&out, PLAN_RECORD_BYTES_MAX);
    buf_init(&again, PLAN_RECORD_BYTES_MAX);
    int ran = schema_plan_row(plan, rows, 0, &out, &first, &err);
    if (ran == 0 && first.state == ROW_DELIVERED) {
        if (out.len > 0 &&
            schema_prescan(mappings[index]->dataset.type, out.data, out.len, &err) != 0) {
            (void)fprintf(stderr, "%s\n", err.text);
            abort();
        }
    } else {
        assert(out.len == 0);
        assert(ran != 0 || first.state == ROW_DUPLICATE ||
               (first.code[0] != '\0' && first.rule[0] != '\0' && first.path != NULL));
    }
    assert(schema_plan_row(plan, rows, 0, &again, &second, &err) == ran);
    assert(again.len == out.len && (out.len == 0 || memcmp(again.data, out.data, out.len) == 0));
    if (schema_plan_row_key(plan, rows, 0, key)) {
        struct arena scratch;
        struct db_sql sql;
        arena_init(&scratch);
        (void)schema_plan_lookup(plan, key, &scratch, &sql, &err);
        arena_fini(&scratch);
    }
    (void)schema_plan_row_cursor(plan, rows, 0, cursor);
    buf_fini(&out);
    buf_fini(&again);
    PQclear(result);
    return 0;
}
