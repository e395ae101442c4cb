#include "cli/json_place.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    const char *text;
    size_t len;
    size_t at;
};

static char peek(const struct scan *scan)
{
    return scan->at < scan->len ? scan->text[scan->at] : '\0';
}

/* Blanks, and what stands between two values. */
static void skip_between(struct scan *scan)
{
    while (scan->at < scan->len && strchr(" \t\r\n,:", scan->text[scan->at]) != NULL)
        scan->at++;
}

static void skip_string(struct scan *scan)
{
    for (scan->at++; scan->at < scan->len && scan->text[scan->at] != '"'; scan->at++)
        scan->at += scan->text[scan->at] == '\\';
    scan->at = scan->at < scan->len ? scan->at + 1 : scan->len;
}

static void skip_value(struct scan *scan)
{
    size_t depth = 0;

    do {
        char c = peek(scan);
        if (c == '"') {
            skip_string(scan);
            continue;
        }
        if (c == '[' || c == '{')
            depth++;
        else if ((c == ']' || c == '}') && depth > 0)
            depth--;
        else if (depth == 0) /* a number or a word */
            while (scan->at < scan->len && strchr(" \t\r\n,]}", scan->text[scan->at]) == NULL)
                scan->at++;
        scan->at += c != '\0' && strchr("[]{}", c) != NULL;
        if (depth > 0) {
            while (scan->at < scan->len && strchr("\"[]{}", scan->text[scan->at]) == NULL)
                scan->at++;
        }
    } while (depth > 0 && scan->at < scan->len);
}

/* "source_department" is sourceDepartment. */
static bool same_member(const char *key, size_t key_len, const char *name, size_t name_len)
{
    size_t i = 0;

    for (size_t j = 0; j < key_len; j++) {
        if (key[j] == '_')
            continue;
        if (i == name_len || tolower((unsigned char)key[j]) != tolower((unsigned char)name[i]))
            return false;
        i++;
    }
    return i == name_len;
}

static bool enter_element(struct scan *scan, size_t index)
{
    if (peek(scan) != '[')
        return false;
    scan->at++;
    skip_between(scan);
    for (; index > 0 && peek(scan) != ']' && scan->at < scan->len; index--) {
        skip_value(scan);
        skip_between(scan);
    }
    return peek(scan) != ']' && scan->at < scan->len;
}

static bool enter_member(struct scan *scan, const char *name, size_t len)
{
    if (peek(scan) != '{')
        return false;
    scan->at++;
    for (;;) {
        skip_between(scan);
        if (peek(scan) != '"')
            return false;
        size_t key = scan->at + 1;
        skip_string(scan);
        bool found = same_member(scan->text + key, scan->at - 1 - key, name, len);
        skip_between(scan);
        if (found)
            return scan->at < scan->len;
        skip_value(scan);
    }
}

size_t json_place_find(const char *text, size_t len, size_t at, const char *path)
{
    struct scan scan = { .text = text, .len = len, .at = at };
    bool found = true;

    skip_between(&scan);
    while (found && *path != '\0') {
        if (*path == '[') {
            char *end;
            found = enter_element(&scan, strtoul(path + 1, &end, 10));
            path = *end == ']' ? end + 1 : "";
        } else {
            path += *path == '.';
            size_t name = strcspn(path, ".[");
            found = name > 0 && enter_member(&scan, path, name);
            path += name;
        }
    }
    return found ? scan.at : len;
}
