/* Any text: what JSON decoding accepts passes the pre-scan, and shows and reads back as the same
 * bytes. First byte: the type. */
#include <assert.h>
#include <string.h>

#include "base/utf8.h"
#include "fuzz_support.h"
#include "schema/json.h"
#include "schema/prescan.h"

enum { OUT_BYTES_MAX = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Maps are written in the order of their keys, so the second round must be a fixed point. */
static void round_trip(const struct schema_json_options *options,
                       const struct schema_message *message, const struct buf *wire)
{
    struct buf json;
    struct buf again;
    struct buf json_again;
    struct err err = ERR_INIT;
    buf_init(&json, OUT_BYTES_MAX);
    buf_init(&again, OUT_BYTES_MAX);
    buf_init(&json_again, OUT_BYTES_MAX);
    if (schema_json_encode(options, message, wire->data, wire->len, &json, &err) == 0 &&
        schema_json_decode(options, message, (const char *)json.data, json.len, &again, &err) ==
            0) {
        assert(schema_json_encode(options, message, again.data, again.len, &json_again, &err) == 0);
        assert(json.len == json_again.len && memcmp(json.data, json_again.data, json.len) == 0);
    } else {
        /* out of room, a Value that is not finite, or a field mask that JSON cannot write */
        assert(err.text[0] != '\0' && utf8_valid(err.text, strlen(err.text)));
    }
    buf_fini(&json);
    buf_fini(&again);
    buf_fini(&json_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    const struct schema_message *message = fuzz_message(data[0]);
    const struct schema_set *set = fuzz_types();
    const struct schema_json_options options = { .sets = &set, .set_count = 1 };
    struct err err = ERR_INIT;
    struct buf wire;
    buf_init(&wire, OUT_BYTES_MAX);
    if (schema_json_decode(&options, message, (const char *)data + 1, len - 1, &wire, &err) < 0) {
        assert(err.code == ERR_INVALID_ARGUMENT || err.code == ERR_RESOURCE_EXHAUSTED);
        assert(utf8_valid(err.text, strlen(err.text)));
    } else {
        assert(schema_prescan(message, wire.data, wire.len, &err) == 0);
        round_trip(&options, message, &wire);
    }
    buf_fini(&wire);
    return 0;
}
