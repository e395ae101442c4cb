/* Date formats of a mapping: YYYY YY MM M DD D and literal characters. */
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "conf/yaml.h"
#include "schema/normaliser_date.h"

/* --- reading a format ---------------------------------------------------------------------------
 */

static bool is_number(const struct date_token *token)
{
    return token->kind != DATE_LITERAL;
}

/* A run of Y, M or D; answers its length, 0 when it is no token. */
static size_t read_number_token(const char *at, struct date_token *token)
{
    size_t run = 0;
    while (at[run] == at[0])
        run++;
    bool year = at[0] == 'Y';
    if (year ? run != 4 && run != 2 : run > 2)
        return 0;
    token->kind = year ? DATE_YEAR : at[0] == 'M' ? DATE_MONTH : DATE_DAY;
    token->digits_min = (uint8_t)run;
    token->digits_max = (uint8_t)(run == 1 ? 2 : run);
    return run;
}

static const char *read_tokens(const char *at, struct date_format *format)
{
    while (*at != '\0') {
        if (format->count == DATE_TOKENS_MAX)
            return "a format has at most 16 parts";
        struct date_token *token = &format->tokens[format->count++];
        if (*at == 'Y' || *at == 'M' || *at == 'D') {
            size_t run = read_number_token(at, token);
            if (run == 0)
                return "a format is made of YYYY or YY, MM or M, DD or D, and other characters";
            at += run;
            continue;
        }
        at += utf8_decode((const uint8_t *)at, strlen(at), &token->literal);
        if (token->literal >= '0' && token->literal <= '9')
            return "a format has no digits of its own";
    }
    return NULL;
}

/* Each of year, month and day once; a part of open width ends at a literal. */
static const char *format_problem(const struct date_format *format)
{
    int seen[4] = { 0 };
    enum date_token_kind order[3] = { DATE_LITERAL, DATE_LITERAL, DATE_LITERAL };
    size_t numbers = 0;
    for (size_t i = 0; i < format->count; i++) {
        const struct date_token *token = &format->tokens[i];
        if (!is_number(token))
            continue;
        seen[token->kind]++;
        if (numbers < 3)
            order[numbers++] = token->kind;
        if (token->digits_min != token->digits_max && i + 1 < format->count &&
            is_number(&format->tokens[i + 1]))
            return "M and D take one or two digits, so a separator must follow them";
    }
    if (seen[DATE_YEAR] != 1 || seen[DATE_MONTH] != 1 || seen[DATE_DAY] != 1)
        return "a format has the year, the month and the day, each once";
    bool dashed = format->count == 5 && format->tokens[1].literal == '-' &&
                  format->tokens[3].literal == '-' && format->tokens[0].digits_min == 4;
    if (dashed && order[0] == DATE_YEAR && order[1] == DATE_DAY)
        return "this format looks like the canonical YYYY-MM-DD and would be read in two ways";
    return NULL;
}

static int read_format(const struct yaml_node *node, struct date_config *config, struct err *err)
{
    if (yaml_expect(node, YAML_SCALAR, "a format", err) != 0)
        return -1;
    if (config->format_count == DATE_FORMATS_MAX)
        return yaml_error(node, err, "MAPPING_NORMALISER", "there are more than %d formats",
                          DATE_FORMATS_MAX);
    struct date_format *format = &config->formats[config->format_count++];
    const char *problem = read_tokens(yaml_text(node), format);
    if (problem == NULL)
        problem = format_problem(format);
    if (problem != NULL)
        return yaml_error(node, err, "MAPPING_NORMALISER", "%s", problem);
    for (size_t i = 0; i < format->count; i++)
        config->two_digit_years = config->two_digit_years || (format->tokens[i].kind == DATE_YEAR &&
                                                              format->tokens[i].digits_min == 2);
    return 0;
}

static int read_century(const struct yaml_node *node, struct date_config *config, struct err *err)
{
    static const char *const keys[] = { "pivot", NULL };
    const struct yaml_node *pivot = yaml_get(node, "pivot");
    int64_t years = 0;
    if (pivot == NULL)
        return yaml_error(node, err, "MAPPING_NORMALISER",
                          "century needs a pivot, as in {pivot: 30}: 29 is 2029, 30 is 1930");
    if (yaml_check_keys(node, keys, err) != 0 || yaml_read_int(pivot, 0, 100, &years, err) != 0)
        return -1;
    config->pivot = (int)years;
    return 0;
}

int date_read_formats(const struct yaml_node *params, struct date_config *config, struct err *err)
{
    const struct yaml_node *formats = yaml_get(params, "formats");
    const struct yaml_node *century = yaml_get(params, "century");
    if (formats != NULL && yaml_expect(formats, YAML_SEQUENCE, "formats", err) != 0)
        return -1;
    for (size_t i = 0; formats != NULL && i < yaml_count(formats); i++)
        if (read_format(yaml_item(formats, i), config, err) != 0)
            return -1;
    if (century != NULL && !config->two_digit_years)
        return yaml_error(century, err, "MAPPING_NORMALISER",
                          "century is for formats with a two-digit year YY");
    if (century == NULL && config->two_digit_years)
        return yaml_error(formats, err, "MAPPING_NORMALISER",
                          "a two-digit year needs its century, as in century: {pivot: 30}");
    return century == NULL ? 0 : read_century(century, config, err);
}

/* --- reading a date -----------------------------------------------------------------------------
 */

/* Answers the characters used by one token, 0 when it does not fit. */
static size_t take_token(const struct date_token *token, const uint32_t *text, size_t len,
                         int date[3])
{
    if (!is_number(token))
        return len > 0 && text[0] == token->literal;
    size_t used = 0;
    int number = 0;
    while (used < len && used < token->digits_max && text[used] >= '0' && text[used] <= '9')
        number = number * 10 + (int)(text[used++] - '0');
    date[token->kind - DATE_YEAR] = number;
    return used >= token->digits_min ? used : 0;
}

static bool matches(const struct date_config *config, const struct date_format *format,
                    const uint32_t *text, size_t len, int date[3])
{
    size_t at = 0;
    for (size_t i = 0; i < format->count; i++) {
        const struct date_token *token = &format->tokens[i];
        size_t used = take_token(token, text + at, len - at, date);
        if (used == 0)
            return false;
        at += used;
        if (token->kind == DATE_YEAR && token->digits_min == 2)
            date[0] += date[0] < config->pivot ? 2000 : 1900;
    }
    return at == len;
}

const char *date_by_formats(const struct date_config *config, const uint32_t *text, size_t len,
                            int date_r[3])
{
    const char *problem = "DATE_SYNTAX";
    bool found = false;
    for (size_t i = 0; i < config->format_count; i++) {
        int date[3] = { 0 };
        if (!matches(config, &config->formats[i], text, len, date))
            continue;
        if (!normaliser_real_date(date[0], date[1], date[2])) {
            problem = "DATE_INVALID";
            continue;
        }
        if (found && memcmp(date, date_r, sizeof date) != 0)
            return "DATE_AMBIGUOUS";
        found = true;
        memcpy(date_r, date, sizeof date);
    }
    return found ? NULL : problem;
}

/* --- writing ------------------------------------------------------------------------------------
 */

static int write_number(struct buf *value, int number, int digits)
{
    char text[8];
    if (digits == 1)
        digits = number > 9 ? 2 : 1;
    for (int i = digits; i > 0; i--) {
        text[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
    return buf_append(value, text, (size_t)digits);
}

int date_write_first(const struct date_config *config, const int date[3], struct buf *value)
{
    const struct date_format *format = &config->formats[0];
    int result = 0;
    buf_reset(value);
    for (size_t i = 0; i < format->count && result == 0; i++) {
        const struct date_token *token = &format->tokens[i];
        uint8_t literal[4];
        if (is_number(token))
            result = write_number(value, date[token->kind - DATE_YEAR], token->digits_min);
        else
            result = buf_append(value, literal, utf8_encode(token->literal, literal));
    }
    return result;
}
