#include "schema/csv.h"

#include <string.h>

void csv_start(struct csv_reader *reader, const char *text, size_t len)
{
    *reader = (struct csv_reader){ .text = text, .len = len, .line = 1 };
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        reader->at = reader->line_start = 3;
}

static void pass_byte(struct csv_reader *reader)
{
    bool line_end = reader->text[reader->at] == '\n';
    reader->at++;
    if (line_end) {
        reader->line++;
        reader->line_start = reader->at;
    }
}

struct csv_place csv_here(const struct csv_reader *reader)
{
    struct csv_place place = { .line = reader->line, .column = 1 };
    for (size_t i = reader->line_start; i < reader->at; i++)
        place.column += ((unsigned char)reader->text[i] & 0xC0) != 0x80;
    return place;
}

struct csv_place csv_place_of(const struct csv_reader *reader, size_t at)
{
    struct csv_reader ahead = *reader;
    while (ahead.at < at && ahead.at < ahead.len)
        pass_byte(&ahead);
    return csv_here(&ahead);
}

static bool pass_separator(struct csv_reader *reader)
{
    bool last = reader->at >= reader->len || reader->text[reader->at] != ',';
    if (reader->at < reader->len && reader->text[reader->at] == '\r')
        pass_byte(reader);
    if (reader->at < reader->len && (reader->text[reader->at] == '\n' || !last))
        pass_byte(reader);
    return last;
}

enum csv_result csv_read_field(struct csv_reader *reader, char *text_r, size_t size,
                               struct csv_place *place_r, bool *last_r)
{
    size_t len = 0;
    *place_r = csv_here(reader);
    bool quoted = reader->at < reader->len && reader->text[reader->at] == '"';
    bool inside = quoted;
    reader->at += quoted;
    while (reader->at < reader->len) {
        char c = reader->text[reader->at];
        if (inside && c == '"') {
            reader->at++;
            /* a doubled quote is one */
            inside = reader->at < reader->len && reader->text[reader->at] == '"';
            if (!inside)
                continue;
        } else if (!inside && (c == ',' || c == '\n' || c == '\r')) {
            break;
        } else if (quoted && !inside) {
            return CSV_AFTER_QUOTE;
        }
        pass_byte(reader);
        if (len + 1 >= size)
            return CSV_TOO_LONG;
        text_r[len++] = c;
    }
    if (inside)
        return CSV_UNENDED;
    text_r[len] = '\0';
    *last_r = pass_separator(reader);
    return CSV_FIELD;
}
