/* Fuzzes files of catalogue entries: encodings, then CSV; what is read is written and read again. */
#include <stdint.h>
#include <stdlib.h>

#include "cli/catalogue_csv.h"
#include "cli/catalogue_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_BYTES = 64 * 1024 * 1024 };

static json_t *read_text(const struct buf *text)
{
    struct buf complaint;
    buf_init(&complaint, TEXT_BYTES);
    json_t *entries = catalogue_csv_read("f.csv", (const char *)text->data, text->len, &complaint);
    if ((entries == NULL) != (complaint.len > 0))
        abort();
    buf_fini(&complaint);
    return entries;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text;
    size_t bad;
    buf_init(&text, TEXT_BYTES);
    (void)buf_append(&text, data, size);
    json_t *entries = catalogue_file_decode(&text, &bad) ? read_text(&text) : NULL;
    buf_reset(&text);
    text.max = TEXT_BYTES;
    if (entries != NULL && catalogue_csv_write_header(&text) == 0) {
        bool whole = true;
        for (size_t i = 0; i < json_array_size(entries); i++)
            whole = catalogue_csv_write(json_array_get(entries, i), &text) == 0 && whole;
        json_t *again = read_text(&text);
        if (whole && !json_equal(entries, again))
            abort();
        json_decref(again);
    }
    json_decref(entries);
    buf_fini(&text);
    return 0;
}
