#include "services/quarantine_item.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "services/quality.h"

const char quarantine_columns[] =
    "id, field, rule, code, state::integer, first_seen, last_seen, count, exchange_id, judged_at,"
    " key_digest, row_digest, fields, place";
enum {
    COLUMN_KEY = 10,
    COLUMN_ROW,
    COLUMN_FIELDS,
    COLUMN_PLACE,
};

Sluice__V1__QuarantineItem *quarantine_message(struct arena *arena, const struct db_rows *rows,
                                               int row)
{
    Sluice__V1__QuarantineItem *out = arena_alloc(arena, sizeof *out);
    sluice__v1__quarantine_item__init(out);
    out->id = db_int8(db_value(rows, row, 0));
    out->field = (char *)quality_text(arena, rows, row, 1);
    out->rule = (char *)quality_text(arena, rows, row, 2);
    out->code = (char *)quality_text(arena, rows, row, 3);
    out->state = (Sluice__V1__QuarantineItem__State)db_int4(db_value(rows, row, 4));
    out->first_seen = quality_timestamp(arena, db_value(rows, row, 5));
    out->last_seen = quality_timestamp(arena, db_value(rows, row, 6));
    out->count = db_int8(db_value(rows, row, 7));
    out->exchange_id = (char *)quality_uuid(arena, db_value(rows, row, 8));
    out->judged_at = quality_timestamp(arena, db_value(rows, row, 9));
    return out;
}

static void copy_bytes(struct db_value value, uint8_t *out, size_t max)
{
    if (value.data != NULL && value.len > 0)
        memcpy(out, value.data, value.len < max ? value.len : max);
}

struct quarantine_item *quarantine_item_from_row(struct arena *arena,
                                                 const struct quarantine_keys *keys,
                                                 const struct schema_dataset *dataset,
                                                 const struct db_rows *rows, int row)
{
    struct quarantine_item *item = arena_alloc(arena, sizeof *item);
    struct db_value place = db_value(rows, row, COLUMN_PLACE);
    item->message = quarantine_message(arena, rows, row);
    item->id = item->message->id;
    item->field_name = item->message->field;
    item->field = schema_message_field(dataset->type, item->field_name, strlen(item->field_name));
    item->rule = item->message->rule;
    item->code = item->message->code;
    item->state = (enum quarantine_state)item->message->state;
    copy_bytes(db_value(rows, row, COLUMN_KEY), item->key, sizeof item->key);
    copy_bytes(db_value(rows, row, COLUMN_ROW), item->row, sizeof item->row);
    copy_bytes(db_value(rows, row, COLUMN_FIELDS), item->fields, sizeof item->fields);
    item->readable = quarantine_open(keys, item->key, place.data, place.len, item->place) == 0;
    return item;
}

/* --- judging ------------------------------------------------------------------------------------ */

/* What rejects this field, or the row as a whole, now; "" when nothing does. */
static int find_rejection(const struct quarantine_item *item, const struct schema_dataset *dataset,
                          const struct schema_plan *plan, const struct db_rows *rows, int row,
                          struct quarantine_finding *finding, struct err *err)
{
    int result;
    finding->rule = finding->code = "";
    if (item->field != NULL) {
        size_t count = dataset->type->field_count;
        struct schema_verdict *verdicts = mem_array(count, sizeof *verdicts);
        result = schema_plan_row_judge(plan, rows, row, verdicts, err);
        finding->rule = verdicts[item->field->position].rule;
        finding->code = verdicts[item->field->position].code;
        free(verdicts);
        return result;
    }
    struct buf record;
    struct schema_row_report report;
    buf_init(&record, PLAN_RECORD_BYTES_MAX);
    result = schema_plan_row(plan, rows, row, &record, &report, err);
    if (result == 0 && report.state != ROW_DELIVERED) {
        finding->rule = report.rule;
        finding->code = report.code;
    }
    buf_fini(&record);
    return result;
}

int quarantine_item_judge(const struct quarantine_item *item, const struct quarantine_keys *keys,
                          const struct schema_dataset *dataset, const struct schema_plan *plan,
                          const struct db_rows *rows, struct quarantine_finding *finding_r,
                          struct err *err)
{
    bool same = false;
    *finding_r = (struct quarantine_finding){
        .state = QUARANTINE_VANISHED, .row = -1, .rule = "", .code = ""
    };
    /* Rows that share a place are told apart by their digest. */
    for (int i = 0; i < db_row_count(rows) && !same; i++) {
        uint8_t digest[HASH_BYTES];
        quarantine_row_digest(keys, rows, i, digest);
        same = memcmp(digest, item->row, sizeof digest) == 0;
        if (same || i == 0)
            finding_r->row = i;
    }
    if (finding_r->row < 0)
        return 0;
    if (find_rejection(item, dataset, plan, rows, finding_r->row, finding_r, err) < 0)
        return -1;
    if (finding_r->code[0] == '\0')
        finding_r->state = QUARANTINE_MENDED;
    else if (same && strcmp(finding_r->code, item->code) == 0)
        finding_r->state = QUARANTINE_OPEN;
    else
        finding_r->state = QUARANTINE_CHANGED;
    return 0;
}

/* --- for people ---------------------------------------------------------------------------------- */

static const struct {
    const char *rule;
    const char *english;
    const char *chinese;
} rules[] = {
    { "required", "a value: the mapping requires this field", "必须有值：映射要求此字段必填" },
    { "type", "a value that the canonical field's type can hold exactly",
      "规范字段类型能够准确容纳的值" },
    { "from", "a text of the form that the mapping cuts into parts", "符合映射截取规则的文本" },
    { "record", "a record of at most 1 MiB", "整条记录不超过 1 MiB" },
    { "oneof", "a value in at most one of these columns", "这些列中至多一列有值" },
    { "array", "a one-dimensional array without empty elements", "不含空元素的一维数组" },
    { "cn_id",
      "a citizen number of GB 11643: 18 characters (or 15 digits) with a real date and a "
      "right check character",
      "GB 11643 公民身份号码：18 位（或 15 位数字），日期真实，校验码正确" },
    { "cn_uscc", "a credit code of GB 32100: 18 characters with a right check character",
      "GB 32100 统一社会信用代码：18 位，校验码正确" },
    { "cn_org", "an organisation code of GB/T 11714: 8 characters and a right check character",
      "GB/T 11714 组织机构代码：8 位本体码加正确校验码" },
    { "cn_mobile", "a mobile number of 11 digits", "11 位手机号码" },
    { "cn_sex", "a sex of GB/T 2261.1: 0, 1, 2, 9 or a known word",
      "GB/T 2261.1 性别代码或常用写法" },
    { "cn_marital", "a marital status of GB/T 2261.2", "GB/T 2261.2 婚姻状况代码或常用写法" },
    { "cn_ethnic", "an ethnic group of GB/T 3304", "GB/T 3304 民族代码或名称" },
    { "cn_date", "a whole calendar date that exists, in an order that is not ambiguous",
      "真实存在、次序无歧义的完整日期" },
    { "cn_money", "an amount of money with at most two decimals in yuan",
      "金额，以元计至多两位小数" },
    { "cn_division",
      "a division code of 2, 4, 6, 9 or 12 digits, of the length that the mapping says",
      "2、4、6、9 或 12 位区划代码，长度符合映射要求" },
    { "decimal", "an exact decimal number", "准确的十进制数" },
    { "unit", "an exact decimal number that the unit can scale", "可按单位换算的准确十进制数" },
    { "bool", "yes or no, in a known word", "是或否的常用写法" },
    { "codes", "a code that the code table lists", "代码表中列出的代码" },
    { "enum", "a value that the mapping lists", "映射中列出的取值" },
    { "regex", "a value that matches the mapping's pattern", "符合映射正则表达式的值" },
    { "gb18030", "text in GB 18030", "GB 18030 编码的文本" },
};

void quarantine_rule_expects(const char *rule, const char *code, const char **english_r,
                             const char **chinese_r)
{
    *english_r = "a value that this rule of the mapping accepts";
    *chinese_r = "映射中该规则接受的值";
    if (strcmp(code, "NOT_UTF8") == 0) {
        *english_r = "text in UTF-8";
        *chinese_r = "UTF-8 编码的文本";
        return;
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strcmp(rules[i].rule, rule) != 0)
            continue;
        *english_r = rules[i].english;
        *chinese_r = rules[i].chinese;
    }
}

/* What stands for a character, as UTF-8 of at most three bytes, or NULL: it stays. */
static const char *stand_in(uint32_t c)
{
    if (c >= '0' && c <= '9')
        return "9";
    if (c >= 'a' && c <= 'z')
        return "a";
    if (c >= 'A' && c <= 'Z')
        return "A";
    if (c >= 0xFF10 && c <= 0xFF19)
        return "９";
    if (c >= 0xFF41 && c <= 0xFF5A)
        return "ａ";
    if (c >= 0xFF21 && c <= 0xFF3A)
        return "Ａ";
    bool mark = c < 0xC0 || (c >= 0x2000 && c < 0x2C00) || (c >= 0x3000 && c < 0x3005) ||
                (c >= 0x3008 && c < 0x3021) || (c >= 0xFE00 && c < 0xFF10) ||
                (c >= 0xFF1A && c < 0xFF66);
    return mark ? NULL : "某";
}

char *quarantine_shape(struct arena *arena, const char *text)
{
    size_t len = strlen(text), at = 0;
    char *out = arena_alloc(arena, 3 * len + 1), *end = out;
    while (at < len) {
        uint32_t c = 0;
        size_t step = utf8_decode((const uint8_t *)text + at, len - at, &c);
        if (step == 0)
            break;
        const char *other = stand_in(c);
        size_t size = other != NULL ? strlen(other) : step;
        memcpy(end, other != NULL ? other : text + at, size);
        end += size;
        at += step;
    }
    *end = '\0';
    return out;
}
