#include "cli/migrations.h"

#include <ctype.h>
#include <dirent.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "base/utf8.h"

int migration_number(const char *name)
{
    int number = 0;
    const char *at = name;

    for (; at < name + 3; at++) {
        if (!isdigit((unsigned char)*at))
            return 0;
        number = number * 10 + (*at - '0');
    }
    if (*at != '_')
        return 0;
    const char *word = ++at;
    while (islower((unsigned char)*at) || isdigit((unsigned char)*at) || *at == '_')
        at++;
    return at > word && strcmp(at, ".sql") == 0 ? number : 0;
}

size_t migration_line(const char *sql, size_t position)
{
    size_t line = 1;

    for (size_t character = 1; *sql != '\0' && character < position; sql++) {
        if (*sql == '\n')
            line++;
        if (((unsigned char)sql[1] & 0xc0) != 0x80) /* the next byte begins a character */
            character++;
    }
    return line;
}

static int read_whole(const char *path, struct migration *item, struct err *err)
{
    FILE *file = fopen(path, "rb");
    size_t len = 0;

    if (file == NULL)
        return err_set(err, ERR_NOT_FOUND, "MIGRATION_UNREADABLE", "%s cannot be read", item->name);
    item->sql = mem_zero(MIGRATION_BYTES_MAX + 2);
    len = fread(item->sql, 1, MIGRATION_BYTES_MAX + 1, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed)
        return err_set(err, ERR_NOT_FOUND, "MIGRATION_UNREADABLE", "%s cannot be read", item->name);
    if (len > MIGRATION_BYTES_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, "MIGRATION_TOO_LARGE", "%s is longer than 4 MiB",
                       item->name);
    if (strlen(item->sql) != len || !utf8_valid(item->sql, len))
        return err_set(err, ERR_INVALID_ARGUMENT, "MIGRATION_NOT_UTF8", "%s is not UTF-8 text",
                       item->name);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_Digest(item->sql, len, digest, &size, EVP_sha256(), NULL) != 1)
        return err_set(err, ERR_INTERNAL, "DIGEST_FAILED", "SHA-256 is not available");
    hex_encode(digest, size, item->digest);
    item->sql = mem_resize(item->sql, len + 1);
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct migration *left = a, *right = b;

    return (left->number > right->number) - (left->number < right->number);
}

static int list_files(const char *dir, struct migrations *m, struct err *err)
{
    DIR *folder = opendir(dir);
    const struct dirent *entry;

    if (folder == NULL)
        return err_set(err, ERR_NOT_FOUND, "MIGRATIONS_ABSENT",
                       "%s is no folder with migrations; name it with --migrations", dir);
    while ((entry = readdir(folder)) != NULL && m->count < MIGRATIONS_MAX) {
        int number = migration_number(entry->d_name);
        if (number == 0)
            continue;
        m->items[m->count].number = number;
        m->items[m->count++].name = mem_strdup(entry->d_name);
    }
    closedir(folder);
    if (m->count == 0)
        return err_set(err, ERR_NOT_FOUND, "MIGRATIONS_ABSENT",
                       "%s holds no file NNN_name.sql; name the folder with --migrations", dir);
    qsort(m->items, m->count, sizeof *m->items, by_number);
    return 0;
}

int migrations_load(const char *dir, struct migrations *migrations_r, struct err *err)
{
    struct migrations *m = migrations_r;
    int failed;

    m->count = 0;
    m->items = mem_array(MIGRATIONS_MAX, sizeof *m->items);
    failed = list_files(dir, m, err);
    for (size_t i = 0; i < m->count && failed == 0; i++) {
        char *path = mem_format("%s/%s", dir, m->items[i].name);

        if (i > 0 && m->items[i].number == m->items[i - 1].number)
            failed =
                err_set(err, ERR_INVALID_ARGUMENT, "MIGRATION_NUMBER_TWICE",
                        "%s and %s have the same number", m->items[i - 1].name, m->items[i].name);
        else
            failed = read_whole(path, &m->items[i], err);
        free(path);
    }
    if (failed != 0)
        migrations_fini(m);
    return failed;
}

void migrations_fini(struct migrations *migrations)
{
    for (size_t i = 0; i < migrations->count; i++) {
        free(migrations->items[i].name);
        free(migrations->items[i].sql);
    }
    free(migrations->items);
    migrations->items = NULL;
    migrations->count = 0;
}
