/* Any bytes: the pre-scan answers, and what it accepts JSON can show unless a value is out of
 * range; that JSON reads back. First byte: the type. */
#include <assert.h>
#include <string.h>

#include "fuzz_support.h"
#include "schema/json.h"
#include "schema/prescan.h"

enum { OUT_BYTES_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    const struct schema_message *message = fuzz_message(data[0]);
    const struct schema_set *set = fuzz_types();
    const struct schema_json_options options = { .sets = &set, .set_count = 1 };
    struct err err = ERR_INIT;
    int scanned = schema_prescan(message, data + 1, len - 1, &err);
    if (scanned < 0)
        assert(err.code == ERR_INVALID_ARGUMENT && err.text[0] != '\0');
    struct buf json;
    struct buf wire;
    buf_init(&json, OUT_BYTES_MAX);
    buf_init(&wire, OUT_BYTES_MAX);
    err_clear(&err);
    int shown = schema_json_encode(&options, message, data + 1, len - 1, &json, &err);
    if (shown < 0)
        assert(err.code == ERR_DATA_LOSS || err.code == ERR_NOT_FOUND ||
               err.code == ERR_RESOURCE_EXHAUSTED);
    /* Refusals are fine here: a duplicate Any member, U+0000. Crashes are not. */
    if (shown == 0 &&
        schema_json_decode(&options, message, (const char *)json.data, json.len, &wire, &err) == 0)
        assert(schema_prescan(message, wire.data, wire.len, &err) == 0);
    buf_fini(&json);
    buf_fini(&wire);
    return 0;
}
