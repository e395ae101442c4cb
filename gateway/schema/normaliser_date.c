/* Calendar dates as departments write them, to YYYY-MM-DD (ISO 8601-1, GB/T 7408.1). */
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "conf/yaml.h"
#include "schema/normaliser_date.h"

struct date_parts {
    int year, month, day;
    size_t year_digits;
    size_t count;       /* numbers read */
    char separators[3]; /* behind each number: '-', '/', '.', 'Y', 'M', 'D' or 0 */
};

enum {
    EXCEL_EPOCH_DAYS = -25569, /* serial 0 stands for 1899-12-30 */
    EXCEL_SERIAL_MIN = 61,     /* below, spreadsheets count a day that never was */
};

/* 〇 to 九 as 0 to 9, 十 as 10, else -1. */
static int chinese_digit(uint32_t cp)
{
    static const uint32_t digits[] = { 0x3007, 0x4E00, 0x4E8C, 0x4E09, 0x56DB, 0x4E94,
                                       0x516D, 0x4E03, 0x516B, 0x4E5D, 0x5341 };
    if (cp == 0x25CB || cp == 0x96F6)
        return 0; /* ○ and 零 */
    for (int i = 0; i <= 10; i++)
        if (digits[i] == cp)
            return i;
    return -1;
}

/* 十二, 二十, 二十一, 三十一: tens are a unit, other runs are positional digits. */
static bool chinese_number(const uint32_t *text, size_t len, int *number_r)
{
    int value = 0;
    bool ten = false;
    for (size_t i = 0; i < len; i++)
        ten = ten || chinese_digit(text[i]) == 10;
    if (!ten) {
        for (size_t i = 0; i < len; i++)
            value = value * 10 + chinese_digit(text[i]);
        *number_r = value;
        return len > 0 && len <= 4;
    }
    size_t at = 0;
    int tens = 1;
    if (chinese_digit(text[0]) != 10)
        tens = chinese_digit(text[at++]);
    if (tens == 0 || at >= len || chinese_digit(text[at]) != 10)
        return false;
    at++;
    int ones = 0;
    if (at < len) {
        ones = chinese_digit(text[at++]);
        if (ones == 0 || ones == 10)
            return false;
    }
    *number_r = tens * 10 + ones;
    return at == len;
}

/* Reads one number (ASCII or Chinese digits); answers characters used, 0 when there is none. */
static size_t read_number(const uint32_t *text, size_t len, int *number_r)
{
    size_t used = 0;
    int value = 0;
    while (used < len && text[used] >= '0' && text[used] <= '9' && used < 8)
        value = value * 10 + (int)(text[used++] - '0');
    if (used > 0) {
        *number_r = value;
        return used;
    }
    while (used < len && used < 5 && chinese_digit(text[used]) >= 0)
        used++;
    return used > 0 && chinese_number(text, used, number_r) ? used : 0;
}

static char separator(uint32_t cp)
{
    switch (cp) {
    case '-':
    case '/':
    case '.':
        return (char)cp;
    case 0x5E74:
        return 'Y';
    case 0x6708:
        return 'M';
    case 0x65E5:
    case 0x53F7:
        return 'D'; /* 日, 号 */
    default:
        return 0;
    }
}

static size_t read_parts(const uint32_t *text, size_t len, struct date_parts *parts)
{
    size_t at = 0;
    while (parts->count < 3 && at < len) {
        int number = 0;
        size_t used = read_number(text + at, len - at, &number);
        if (used == 0)
            break;
        if (parts->count == 0) {
            parts->year = number;
            parts->year_digits = used;
        } else if (parts->count == 1) {
            parts->month = number;
        } else {
            parts->day = number;
        }
        if (parts->count > 0 && used > 3)
            break; /* month and day are at most 三十一 */
        at += used;
        char mark = at < len ? separator(text[at]) : 0;
        parts->separators[parts->count++] = mark;
        at += mark != 0 && (parts->count < 3 || mark == 'D');
        if (mark == 0)
            break;
    }
    return at;
}

/* Midnight only: another time of day would be lost. */
static bool only_midnight(const uint32_t *text, size_t len)
{
    if (len == 0)
        return true;
    if (text[0] != 'T' && text[0] != ' ')
        return false;
    static const char *const midnights[] = { "00:00:00", "00:00", "0:00:00", "00:00:00.0",
                                             "00:00:00.000" };
    for (size_t i = 0; i < sizeof midnights / sizeof midnights[0]; i++) {
        size_t want = strlen(midnights[i]), j = 0;
        while (j < want && j + 1 < len && text[j + 1] == (unsigned char)midnights[i][j])
            j++;
        if (j == want && len == want + 1)
            return true;
    }
    return false;
}

static const char *parts_problem(const struct date_parts *parts, bool rest_is_midnight)
{
    const char *marks = parts->separators;
    bool chinese = marks[0] == 'Y';
    if (parts->count == 2 || (parts->count == 1 && chinese))
        return parts->year_digits == 4 ? "DATE_PARTIAL" : "DATE_AMBIGUOUS";
    if (parts->count < 3)
        return "DATE_SYNTAX";
    if (parts->year_digits != 4)
        return "DATE_AMBIGUOUS";
    bool shaped =
        chinese ? marks[1] == 'M' && marks[2] == 'D' : marks[1] == marks[0] && marks[2] == 0;
    if (!shaped || !rest_is_midnight)
        return rest_is_midnight ? "DATE_SYNTAX" : "DATE_HAS_TIME";
    return normaliser_real_date(parts->year, parts->month, parts->day) ? NULL : "DATE_INVALID";
}

/* Trimmed, width-folded code points; answers how many, 0 when empty or too long. */
static size_t fold_date(const struct buf *value, uint32_t out[IDENTIFIER_BYTES_MAX])
{
    size_t len = 0;
    for (size_t i = 0; i < value->len;) {
        uint32_t cp = 0;
        size_t step = normaliser_decode(value->data + i, value->len - i, &cp);
        if (step == 0 || len == IDENTIFIER_BYTES_MAX)
            return 0;
        i += step;
        if (cp >= 0xFF01 && cp <= 0xFF5E)
            cp -= 0xFEE0;
        if (normaliser_blank(cp)) {
            if (len == 0)
                continue;
            cp = ' ';
        }
        out[len++] = cp;
    }
    while (len > 0 && out[len - 1] == ' ')
        len--;
    return len;
}

static struct normaliser_result finish(struct buf *value, int year, int month, int day)
{
    const char text[10] = {
        (char)('0' + year / 1000),
        (char)('0' + year / 100 % 10),
        (char)('0' + year / 10 % 10),
        (char)('0' + year % 10),
        '-',
        (char)('0' + month / 10),
        (char)('0' + month % 10),
        '-',
        (char)('0' + day / 10),
        (char)('0' + day % 10),
    };
    if (year == 9999 && month == 12 && day == 31)
        return normaliser_become_warned(value, text, sizeof text, "DATE_OPEN_END");
    return normaliser_become(value, text, sizeof text);
}

/* YYYY-MM-DD or YYYYMMDD with nothing around it: what most columns hold. */
static bool read_plain(const struct buf *value, int date_r[3])
{
    static const uint8_t dashed[8] = { 0, 1, 2, 3, 5, 6, 8, 9 };
    const uint8_t *text = value->data;
    bool compact = value->len == 8;
    if (!compact && (value->len != 10 || text[4] != '-' || text[7] != '-'))
        return false;
    int digits[8];
    for (size_t i = 0; i < 8; i++) {
        digits[i] = text[compact ? i : dashed[i]] - '0';
        if (digits[i] < 0 || digits[i] > 9)
            return false;
    }
    date_r[0] = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3];
    date_r[1] = digits[4] * 10 + digits[5];
    date_r[2] = digits[6] * 10 + digits[7];
    return normaliser_real_date(date_r[0], date_r[1], date_r[2]);
}

static struct normaliser_result compact_date(const struct date_config *config, struct buf *value,
                                             const uint32_t *text, size_t len)
{
    int number = 0;
    for (size_t i = 0; i < len; i++)
        number = number * 10 + (int)(text[i] - '0');
    if (len == 8) {
        if (!normaliser_real_date(number / 10000, number / 100 % 100, number % 100))
            return NORMALISER_FAILS("DATE_INVALID");
        return finish(value, number / 10000, number / 100 % 100, number % 100);
    }
    if (len != 5)
        return NORMALISER_FAILS(len == 6 ? "DATE_AMBIGUOUS" : "DATE_SYNTAX");
    if (!config->excel || number < EXCEL_SERIAL_MIN)
        return NORMALISER_FAILS("DATE_SERIAL");
    int year = 0, month = 0, day = 0;
    normaliser_date_of(number + EXCEL_EPOCH_DAYS, &year, &month, &day);
    return finish(value, year, month, day);
}

static struct normaliser_result run_cn_date(const void *config, struct buf *value)
{
    const struct date_config *options = config;
    int date[3] = { 0 };
    /* The canonical form is read always, so that a second run changes nothing. */
    if (read_plain(value, date) && (options->format_count == 0 || value->len == 10))
        return value->len == 10 && date[0] != 9999 ? NORMALISER_IS_OK
                                                   : finish(value, date[0], date[1], date[2]);
    uint32_t text[IDENTIFIER_BYTES_MAX];
    size_t len = fold_date(value, text), digits = 0;
    while (digits < len && text[digits] >= '0' && text[digits] <= '9')
        digits++;
    if (len == 0)
        return NORMALISER_FAILS(value->len == 0 ? "DATE_EMPTY" : "DATE_SYNTAX");
    bool serial = options->excel && digits == 5 && len == 5;
    if (options->format_count > 0 && !serial) {
        const char *problem = date_by_formats(options, text, len, date);
        return problem != NULL ? NORMALISER_FAILS(problem)
                               : finish(value, date[0], date[1], date[2]);
    }
    if (digits == len && len <= 8)
        return compact_date(options, value, text, len);
    struct date_parts parts = { 0 };
    size_t used = read_parts(text, len, &parts);
    const char *problem = parts_problem(&parts, only_midnight(text + used, len - used));
    if (problem != NULL)
        return NORMALISER_FAILS(problem);
    return finish(value, parts.year, parts.month, parts.day);
}

static int write_cn_date(const void *config, struct buf *value)
{
    const struct date_config *options = config;
    int date[3] = { 0 };
    if (value->len != 10 || !read_plain(value, date))
        return -1;
    return options->format_count == 0 ? 0 : date_write_first(options, date, value);
}

/* Two-digit years reach one century; several formats may read what the first one writes in two
 * ways. */
static enum normaliser_loss loss_of_cn_date(const void *config)
{
    const struct date_config *options = config;
    return options->two_digit_years || options->format_count > 1 ? LOSS_SOME_VALUES : LOSS_NATIVE;
}

static int configure_cn_date(const struct yaml_node *at, const struct yaml_node *params,
                             const struct normaliser_env *env, void **config_r, struct err *err)
{
    (void)at;
    static const char *const keys[] = { "excel", "formats", "century", NULL };
    struct date_config *config = arena_alloc(env->arena, sizeof *config);
    *config_r = config;
    if (params == NULL)
        return 0;
    if (yaml_check_keys(params, keys, err) != 0)
        return -1;
    const struct yaml_node *excel = yaml_get(params, "excel");
    if (excel != NULL && yaml_read_bool(excel, &config->excel, err) != 0)
        return -1;
    return date_read_formats(params, config, err);
}

/* The spellings of one date are many, but what departments store is compact, dashed, slashed,
 * dotted or Chinese. A filter that missed the others would be wrong, so there is no reversal. */
const struct normaliser_kind normaliser_cn_date = {
    .base = { "cn_date", run_cn_date,
              "a date in numeric or Chinese writing, or in the mapping's formats, becomes "
              "YYYY-MM-DD (GB/T 7408.1)" },
    .back = BACK_NONE,
    .loss_of = loss_of_cn_date,
    .write = write_cn_date,
    .configure = configure_cn_date,
};
