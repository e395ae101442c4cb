/* A read-only query written in a mapping. It will stand in brackets inside our own statement, so that
 * PostgreSQL itself refuses whatever is no SELECT there. For that the brackets must hold: this reads
 * the text as PostgreSQL's lexer does and refuses what could end them, what takes parameters and what
 * locks rows. https://www.postgresql.org/docs/15/sql-syntax-lexical.html */
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "conf/yaml.h"
#include "schema/mapping_reader.h"

enum { QUERY_BYTES_MAX = 16 * 1024 };

struct lexer {
    const char *at;
    const char *problem;
    int depth;
    bool first;   /* no word has been seen yet */
    bool was_for; /* the word before was FOR */
};

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static void fail(struct lexer *lexer, const char *problem)
{
    if (lexer->problem == NULL)
        lexer->problem = problem;
    lexer->at += strlen(lexer->at);
}

/* Behind the closing mark; a doubled mark stands for itself. */
static void skip_quoted(struct lexer *lexer, char mark, bool escapes)
{
    for (const char *p = lexer->at + 1; *p != '\0'; p++) {
        bool escaped = *p == '\\' && escapes && p[1] != '\0';
        if (escaped || (*p == mark && p[1] == mark)) {
            p++;
        } else if (*p == '\\' && mark == '\'' && !escapes) {
            /* What it means depends on standard_conforming_strings. */
            fail(lexer, "write a backslash inside a text as E'\\\\'");
            return;
        } else if (*p == mark) {
            lexer->at = p + 1;
            return;
        }
    }
    fail(lexer, "a quoted text or name does not end");
}

static void skip_comment(struct lexer *lexer)
{
    int depth = 0;
    const char *p = lexer->at;
    do {
        if (p[0] == '/' && p[1] == '*') {
            depth++;
            p += 2;
        } else if (p[0] == '*' && p[1] == '/') {
            depth--;
            p += 2;
        } else if (*p++ == '\0') {
            fail(lexer, "a comment does not end");
            return;
        }
    } while (depth > 0);
    lexer->at = p;
}

/* $tag$ ... $tag$; $1 is a parameter. */
static void skip_dollar(struct lexer *lexer)
{
    const char *tag = lexer->at, *end = tag + 1;
    if (digit(*end)) {
        fail(lexer, "the query takes no parameters");
        return;
    }
    while (letter(*end) || digit(*end))
        end++;
    if (*end != '$') {
        lexer->at++;
        return;
    }
    size_t len = (size_t)(end - tag) + 1;
    for (const char *p = end + 1; *p != '\0'; p++)
        if (strncmp(p, tag, len) == 0) {
            lexer->at = p + len;
            return;
        }
    fail(lexer, "a quoted text or name does not end");
}

static bool word_is(const char *word, size_t len, const char *wanted)
{
    return strlen(wanted) == len && strncasecmp(word, wanted, len) == 0;
}

static void read_word(struct lexer *lexer)
{
    const char *word = lexer->at;
    size_t len = 0;
    while (letter(word[len]) || digit(word[len]) || word[len] == '$')
        len++;
    lexer->at += len;
    if (word[len] == '\'' && (word_is(word, len, "e"))) {
        skip_quoted(lexer, '\'', true);
        return;
    }
    if (lexer->first && !word_is(word, len, "select") && !word_is(word, len, "with"))
        fail(lexer, "the query must begin with SELECT or WITH");
    lexer->first = false;
    if (lexer->was_for && (word_is(word, len, "update") || word_is(word, len, "share") ||
                           word_is(word, len, "no") || word_is(word, len, "key")))
        fail(lexer, "the query may not lock rows (FOR UPDATE and the like)");
    lexer->was_for = word_is(word, len, "for");
}

static void read_mark(struct lexer *lexer)
{
    char c = *lexer->at++;
    lexer->depth += (c == '(') - (c == ')');
    if (c == ';')
        fail(lexer, "the query is one statement without a semicolon");
    else if (lexer->depth < 0)
        fail(lexer, "a closing bracket has no opening one");
    else if (lexer->first)
        fail(lexer, "the query must begin with SELECT or WITH");
    lexer->was_for = false;
}

/* NULL, or what is wrong. */
static const char *query_problem(const char *text)
{
    struct lexer lexer = { .at = text, .first = true };
    while (*lexer.at != '\0') {
        const char *at = lexer.at;
        if (strchr(" \t\r\n\f\v", *at) != NULL) {
            lexer.at++;
        } else if (at[0] == '-' && at[1] == '-') {
            lexer.at += strcspn(at, "\r\n");
        } else if (at[0] == '/' && at[1] == '*') {
            skip_comment(&lexer);
        } else if (*at == '\'' || *at == '"') {
            lexer.was_for = false;
            skip_quoted(&lexer, *at, false);
        } else if (*at == '$') {
            skip_dollar(&lexer);
        } else if (letter(*at)) {
            read_word(&lexer);
        } else if (digit(*at)) { /* 1e5, 0x1f: never a word of its own */
            while (letter(*lexer.at) || digit(*lexer.at))
                lexer.at++;
            lexer.was_for = false;
        } else {
            read_mark(&lexer);
        }
    }
    if (lexer.problem == NULL && lexer.first)
        return "the query is empty";
    return lexer.problem == NULL && lexer.depth > 0 ? "an opening bracket has no closing one"
                                                    : lexer.problem;
}

int mapping_read_query(struct mapping_reader *reader, const struct yaml_node *node)
{
    if (yaml_expect(node, YAML_SCALAR, "query", reader->err) != 0)
        return -1;
    const char *text = yaml_text(node);
    if (strlen(text) > QUERY_BYTES_MAX)
        return yaml_error(node, reader->err, "MAPPING_QUERY",
                          "the query is longer than %d bytes; make it a view", QUERY_BYTES_MAX);
    const char *problem = query_problem(text);
    if (problem != NULL)
        return yaml_error(node, reader->err, "MAPPING_QUERY", "%s", problem);
    /* On lines of its own: a comment at its end may not take our bracket away. */
    reader->mapping->source_sql = arena_format(reader->arena, "(\n%s\n)", text);
    return 0;
}
