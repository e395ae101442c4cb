#include "cli/schema_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/text.h"

struct schema_page {
    bool html;
    bool full;
    size_t columns;
    struct buf text;
};

/* No script, no link, nothing from outside: the page can be mailed and opened anywhere. */
static const char style[] =
    "body{font:15px/1.5 system-ui,\"Noto Sans CJK SC\",sans-serif;margin:2rem auto;max-width:76rem;"
    "padding:0 1rem;color:#1b1f24;background:#fff}"
    "h1{font-size:1.7rem}h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de}"
    "table{border-collapse:collapse;margin:.8rem 0;display:block;overflow-x:auto}"
    "th,td{border:1px solid #d0d7de;padding:.25rem .6rem;text-align:left;vertical-align:top}"
    "th{background:#f4f6f8}code{font-family:ui-monospace,monospace;font-size:.92em}"
    "@media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#14171a}"
    "th{background:#22272c}th,td,h2{border-color:#3a4149}}";

static void put(struct schema_page *page, const char *text)
{
    page->full = page->full || buf_append_str(&page->text, text) != 0;
}

/* Control characters and direction overrides go first, then what the format would read as markup. */
static void put_data(struct schema_page *page, const char *text)
{
    char *safe = text_safe(text);

    for (const char *at = safe; *at != '\0'; at++) {
        char plain[2] = { *at, '\0' };
        if (*at == '&')
            put(page, "&amp;");
        else if (*at == '<')
            put(page, "&lt;");
        else if (*at == '>')
            put(page, "&gt;");
        else if (page->html && *at == '"')
            put(page, "&quot;");
        else if (page->html && *at == '\'')
            put(page, "&#39;");
        else if (!page->html && strchr("\\`*_{}[]#|~!", *at) != NULL) {
            put(page, "\\");
            put(page, plain);
        } else {
            put(page, plain);
        }
    }
    free(safe);
}

struct schema_page *schema_page_new(bool html, const char *language, const char *title)
{
    struct schema_page *page = mem_zero(sizeof *page);

    page->html = html;
    buf_init(&page->text, SCHEMA_PAGE_BYTES_MAX);
    if (html) {
        put(page, "<!DOCTYPE html>\n<html lang=\"");
        put_data(page, language);
        put(page,
            "\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\""
            " content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
            "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
        put_data(page, title);
        put(page, "</title>\n<style>");
        put(page, style);
        put(page, "</style>\n</head>\n<body>\n");
    }
    return page;
}

void schema_page_free(struct schema_page **page)
{
    if (*page == NULL)
        return;
    buf_fini(&(*page)->text);
    free(*page);
    *page = NULL;
}

void schema_page_heading(struct schema_page *page, int level, const char *text)
{
    char mark[8];

    snprintf(mark, sizeof mark, "<h%d>", level);
    for (int i = 0; !page->html && i < level; i++)
        put(page, "#");
    put(page, page->html ? mark : " ");
    put_data(page, text);
    snprintf(mark, sizeof mark, "</h%d>\n", level);
    put(page, page->html ? mark : "\n\n");
}

void schema_page_paragraph(struct schema_page *page, const char *text)
{
    put(page, page->html ? "<p>" : "");
    put_data(page, text);
    put(page, page->html ? "</p>\n" : "\n\n");
}

void schema_page_table(struct schema_page *page, const char *const *heads, size_t columns)
{
    page->columns = columns;
    put(page, page->html ? "<table>\n<thead><tr>" : "|");
    for (size_t i = 0; i < columns; i++) {
        put(page, page->html ? "<th>" : " ");
        put_data(page, heads[i]);
        put(page, page->html ? "</th>" : " |");
    }
    put(page, page->html ? "</tr></thead>\n<tbody>\n" : "\n|");
    for (size_t i = 0; i < columns && !page->html; i++)
        put(page, "---|");
    put(page, page->html ? "" : "\n");
}

void schema_page_row(struct schema_page *page, const char *const *cells, unsigned code)
{
    put(page, page->html ? "<tr>" : "|");
    for (size_t i = 0; i < page->columns; i++) {
        bool fixed = page->html && (code >> i & 1) != 0 && cells[i][0] != '\0';
        put(page, page->html ? "<td>" : " ");
        put(page, fixed ? "<code>" : "");
        put_data(page, cells[i]);
        put(page, fixed ? "</code>" : "");
        put(page, page->html ? "</td>" : " |");
    }
    put(page, page->html ? "</tr>\n" : "\n");
}

void schema_page_table_end(struct schema_page *page)
{
    put(page, page->html ? "</tbody>\n</table>\n" : "\n");
}

struct slice schema_page_end(struct schema_page *page)
{
    if (page->html)
        put(page, "</body>\n</html>\n");
    return buf_slice(&page->text);
}

bool schema_page_full(const struct schema_page *page)
{
    return page->full;
}
