/* row_program SCHEMAS DESCRIPTORS SECONDS: the row program alone, without a database. Turns the same
 * synthetic rows of 13 columns (the shape a register of residents has) into canonical records for SECONDS
 * and prints one JSON line: rows and CPU seconds of the process, bytes a record, resident memory after the
 * first pass and at the end. Ends with 1 when a row is not delivered. */
#include <endian.h>
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "schema/bundle.h"
#include "schema/plan.h"

enum {
    ROWS = 2048, /* distinct rows: more than the caches of a branch predictor hold */
    COLUMNS = 13,
    DAY_US_PER_MINUTE = 60000000,
};

static void stop(const char *what)
{
    (void)fprintf(stderr, "row_program: %s\n", what);
    exit(1);
}

static double cpu_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static long resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
        stop("no /proc/self/statm");
    (void)fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* --- rows -------------------------------------------------------------------------------------- */

static PGresult *rows;
static int row_index;
static int column_index;

static void put(const void *data, size_t len)
{
    if (!PQsetvalue(rows, row_index, column_index++, (char *)(uintptr_t)data, (int)len))
        stop("no memory");
}

static void put_text(const char *text)
{
    put(text, strlen(text));
}

static void put_int8(int64_t value)
{
    uint64_t wire = htobe64((uint64_t)value);
    put(&wire, sizeof wire);
}

/* numeric_send: groups of four decimal digits. Amounts below a hundred million with two decimals. */
static void put_amount(uint32_t fen)
{
    uint32_t yuan = fen / 100;
    uint16_t words[7] = {
        3, 1, 0, 2, (uint16_t)(yuan / 10000), (uint16_t)(yuan % 10000), (uint16_t)(fen % 100 * 100)
    };
    for (size_t i = 0; i < 7; i++)
        words[i] = htobe16(words[i]);
    put(words, sizeof words);
}

/* GB 11643 check character. */
static void put_citizen_number(uint32_t area, uint32_t day, uint32_t order)
{
    static const int weights[17] = { 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2 };
    char text[32];
    int sum = 0;
    (void)snprintf(text, sizeof text, "%06u%08u%03u", area, day, order);
    for (size_t i = 0; i < 17; i++)
        sum += (text[i] - '0') * weights[i];
    text[17] = "10X98765432"[sum % 11];
    put(text, 18);
}

static void put_row(uint32_t i)
{
    static const char *const sexes[] = { "M", "F", "男", "女" };
    static const char *const places[] = { "北京市朝阳区", "上海市浦东新区", "广东省深圳市南山区",
                                          "四川省成都市武侯区" };
    uint32_t day = (1950 + i % 60) * 10000 + (1 + i / 60 % 12) * 100 + 1 + i / 720 % 28;
    uint32_t area = 110000 + i * 37 % 540000;
    char text[128];
    row_index = (int)i;
    column_index = 0;
    put_int8(i);
    put_citizen_number(area, day, 996 + i % 4);
    (void)snprintf(text, sizeof text, "虚构%u", i);
    put_text(text);
    put_text(sexes[i % 4]);
    (void)snprintf(text, sizeof text, "%02u", 1 + i % 56);
    put_text(text);
    (void)snprintf(text, sizeof text, "%08u", day);
    put_text(i % 997 == 0 ? "" : text);
    (void)snprintf(text, sizeof text, "  %s建设路%u号%u栋%u室", places[i % 4], i % 2000, 1 + i % 40,
                   101 + i % 900);
    put_text(text);
    (void)snprintf(text, sizeof text, "%06u", area);
    put_text(text);
    (void)snprintf(text, sizeof text, "141%08u", i * 7919 % 100000000);
    put_text(text);
    put_amount(i * 104729 % 1000000000);
    put_text(i % 3 == 0 ? "0" : "1");
    put_int8((int64_t)(473385600 + i) * 1000000);
    put_int8((int64_t)i * 13 * DAY_US_PER_MINUTE);
}

static void make_rows(void)
{
    static char names[COLUMNS][16] = { "id",   "sfzh", "xm", "xb", "mz",   "csrq", "hjdz",
                                       "xzqh", "lxdh", "ye", "zt", "cjsj", "gxsj" };
    PGresAttDesc columns[COLUMNS];
    memset(columns, 0, sizeof columns);
    for (size_t i = 0; i < COLUMNS; i++) {
        columns[i].name = names[i];
        columns[i].format = 1;
    }
    rows = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    if (rows == NULL || !PQsetResultAttrs(rows, COLUMNS, columns))
        stop("no memory");
    for (uint32_t i = 0; i < ROWS; i++)
        put_row(i);
}

/* --- the loop ---------------------------------------------------------------------------------- */

static size_t pass(const struct schema_plan *plan, struct buf *record)
{
    struct schema_row_report report;
    struct err err = ERR_INIT;
    size_t bytes = 0;
    for (int i = 0; i < ROWS; i++) {
        buf_reset(record);
        if (schema_plan_row(plan, (const struct db_rows *)(const void *)rows, i, record, &report,
                            &err) != 0)
            stop(err.text);
        if (report.state != ROW_DELIVERED) {
            (void)fprintf(stderr, "row %d: %s %s\n", i, report.rule, report.code);
            stop("a row was not delivered");
        }
        bytes += record->len;
    }
    return bytes;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        stop("usage: row_program SCHEMAS DESCRIPTORS SECONDS");
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = schema_bundle_load(argv[1], argv[2], &err);
    const struct schema_dataset *dataset =
        bundle == NULL ? NULL : schema_bundle_find(bundle, "bench/people");
    if (dataset == NULL)
        stop(bundle == NULL ? err.text : "no dataset bench/people");
    uint8_t fields[PLAN_BITMAP_BYTES];
    memset(fields, 0xff, sizeof fields);
    struct schema_plan *plan = schema_plan_new(dataset, fields, NULL, &err);
    if (plan == NULL)
        stop(err.text);
    struct buf record;
    buf_init(&record, PLAN_RECORD_BYTES_MAX);
    make_rows();
    double seconds = strtod(argv[3], NULL);
    size_t bytes = pass(plan, &record);
    long first_kib = resident_kib();
    uint64_t count = 0;
    double start = cpu_seconds(), used = 0;
    while (used < seconds) {
        (void)pass(plan, &record);
        count += ROWS;
        used = cpu_seconds() - start;
    }
    printf("{\"rows\": %llu, \"cpu_seconds\": %.6f, \"record_bytes\": %.1f, \"first_kib\": %ld, "
           "\"last_kib\": %ld}\n",
           (unsigned long long)count, used, (double)bytes / ROWS, first_kib, resident_kib());
    buf_fini(&record);
    schema_plan_free(&plan);
    PQclear(rows);
    schema_bundle_free(&bundle);
    return 0;
}
