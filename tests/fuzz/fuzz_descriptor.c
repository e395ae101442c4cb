/* Any bytes as a descriptor set: loads or is refused with a sentence; a loaded set answers. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "schema/descriptor.h"
#include "schema/prescan.h"

enum { OUT_BYTES_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void ask_service(const struct schema_set *set, const struct schema_service *service)
{
    struct buf out;
    buf_init(&out, OUT_BYTES_MAX);
    assert(strcmp(schema_set_file_of_symbol(set, service->full_name), service->file) == 0);
    assert(schema_set_imports(set, service->file) != NULL);
    (void)schema_set_closure(set, service->file, &out);
    for (size_t i = 0; i < service->method_count; i++) {
        const struct schema_message *input = service->methods[i].input;
        assert(schema_set_message(set, input->full_name) == input);
        for (size_t j = 0; j < input->field_count; j++)
            assert(schema_message_number(input, input->fields[j].number) == &input->fields[j]);
        (void)schema_prescan(input, out.data, out.len, NULL);
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err = ERR_INIT;
    struct schema_set *set = schema_set_load(data, len, &err);
    if (set == NULL) {
        assert(err.code == ERR_INVALID_ARGUMENT && utf8_valid(err.text, strlen(err.text)));
        return 0;
    }
    for (size_t i = 0; i < schema_set_service_count(set); i++)
        ask_service(set, schema_set_service(set, i));
    schema_set_free(&set);
    return 0;
}
