/* A page of headings, paragraphs and tables, as Markdown or as self-contained HTML.
 * Ownership: a page owns its text until schema_page_free.
 * Never calls back.
 * Limits: SCHEMA_PAGE_BYTES_MAX; what goes beyond is reported by schema_page_full.
 * Does not know what it says. Every text given is data: it is escaped, never markup. */
#ifndef SLUICE_CLI_SCHEMA_PAGE_H
#define SLUICE_CLI_SCHEMA_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum { SCHEMA_PAGE_BYTES_MAX = 256 * 1024 * 1024 };

struct schema_page;

/* `language`: "en" or "zh-CN"; `title` names an HTML page. */
struct schema_page *schema_page_new(bool html, const char *language, const char *title);
void schema_page_free(struct schema_page **page);

void schema_page_heading(struct schema_page *page, int level, const char *text);
void schema_page_paragraph(struct schema_page *page, const char *text);
void schema_page_table(struct schema_page *page, const char *const *heads, size_t columns);
/* Cells of one row; `code` has a bit for each column whose text is written in a fixed-width type. */
void schema_page_row(struct schema_page *page, const char *const *cells, unsigned code);
void schema_page_table_end(struct schema_page *page);

/* Ends the page; the text is the page's. */
struct slice schema_page_end(struct schema_page *page);
bool schema_page_full(const struct schema_page *page);

#endif
