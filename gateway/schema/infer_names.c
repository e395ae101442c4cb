/* Names: what departments call their columns, in Chinese, English and the usual initials. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "schema/infer.h"
#include "sluice/options/field.pb-c.h"

#define SEMANTIC(name_) SLUICE__OPTIONS__SEMANTIC_TYPE__##name_

/* Words that contain others stand first. ASCII words of up to four letters must be a whole word of
 * the name; longer ones and Chinese ones may stand inside it. */
static const struct concept {
    const char *field;
    int semantic;
    const char *words;
}
concepts[] = {
    { "id_number", SEMANTIC(CITIZEN_ID),
      "身份证|公民身份|证件号|身份号码|sfz|sfzh|sfzhm|gmsfhm|zjhm|idcard|id_card|citizen_id|id_"
      "number" },
    { "credit_code", SEMANTIC(CREDIT_CODE),
      "统一社会信用|信用代码|tyshxydm|shxydm|uscc|credit_code" },
    { "org_code", SEMANTIC(ORG_CODE), "组织机构代码|机构代码|zzjgdm|org_code" },
    { "legal_person", SEMANTIC(PERSON_NAME), "法定代表|法人代表|法人|fddbr|frxm|legal_person" },
    { "contact", SEMANTIC(PERSON_NAME), "联系人|经办人|lxr|contact_name|contact" },
    { "mobile", SEMANTIC(MOBILE_NUMBER),
      "手机|联系电话|移动电话|联系方式|电话|lxdh|sjh|sjhm|mobile|cellphone|phone" },
    { "birth_date", SEMANTIC(DATE),
      "出生日期|出生年月|生日|出生|csrq|birth_date|birthday|birth|dob" },
    { "sex", SEMANTIC(SEX), "性别|xb|sex|gender" },
    { "marital_status", SEMANTIC(MARITAL_STATUS), "婚姻|婚否|hyzk|marital" },
    { "ethnic_group", SEMANTIC(ETHNIC_GROUP), "民族|mz|ethnic|nation" },
    { "updated_at", 0, "更新时间|修改时间|变更时间|gxsj|xgsj|updated_at|update_time|modified" },
    { "created_at", 0, "创建时间|录入时间|登记时间|cjsj|lrsj|created_at|create_time" },
    { "registered_on", SEMANTIC(DATE),
      "注册日期|登记日期|成立日期|开业日期|zcrq|djrq|clrq|registered|founded|established" },
    { "valid_from", SEMANTIC(DATE),
      "起始日期|开始日期|有效期起|生效|qsrq|ksrq|valid_from|start_date" },
    { "valid_until", SEMANTIC(DATE),
      "截止日期|结束日期|有效期止|到期|失效|jzrq|jsrq|valid_until|end_date|expiry" },
    { "capital", SEMANTIC(MONEY), "注册资本|注册资金|zczb|capital" },
    { "address", SEMANTIC(ADDRESS), "地址|住址|住所|户籍地|hjdz|dz|zz|address|addr" },
    { "division_code", SEMANTIC(DIVISION_CODE),
      "区划|行政区|xzqh|xzqhdm|qhdm|division|region_code" },
    { "company_name", 0, "企业名称|单位名称|公司名称|机构名称|qymc|dwmc|company_name|company" },
    { "town", 0, "乡镇|街道|town|street" },
    { "county", 0, "区县|县区|qx|county|district" },
    { "city", 0, "地市|城市|city" },
    { "province", 0, "省份|省|province" },
    { "name", SEMANTIC(PERSON_NAME), "姓名|名字|xm|full_name|person_name" },
    { "name", 0, "名称|mc|name|title" },
    { "amount", SEMANTIC(MONEY),
      "金额|款额|总额|余额|费用|收入|支出|资金|税额|万元|（元|(元|je|amount|money|price|fee" },
    { "date", SEMANTIC(DATE), "日期|年月日|rq|date" },
    { "time", 0, "时间|sj|time" },
    { "status", 0, "状态|zt|status|state" },
    { "level", 0, "级别|等级|层级|jb|dj|level|grade" },
    { "category", 0, "类型|类别|种类|分类|lx|lb|category|type|kind" },
    { "remark", SEMANTIC(FREE_TEXT),
      "备注|说明|描述|意见|bz|remark|remarks|comment|note|description" },
    { "quantity", 0, "数量|人数|户数|sl|rs|quantity|count" },
    { "area", 0, "面积|mj|area" },
    { "year", 0, "年度|年份|nd|nf|year" },
    { "number", 0, "编号|序号|号码|bh|xh|number|no|id" },
    { "code", 0, "代码|编码|dm|bm|code" },
};
enum { CONCEPT_COUNT = sizeof concepts / sizeof concepts[0] };

static bool is_word(char c)
{
    return isalnum((unsigned char)c) != 0;
}

/* ASCII case is folded. Short words must stand alone: "id" is not in "valid". */
static bool has_word(const char *text, const char *word, size_t len)
{
    bool inside = (unsigned char)word[0] >= 0x80 || len > 4;

    for (const char *at = text; *at != '\0'; at++) {
        if (strncasecmp(at, word, len) != 0)
            continue;
        if (inside || ((at == text || !is_word(at[-1])) && !is_word(at[len])))
            return true;
    }
    return false;
}

static bool has_any(const char *text, const char *words)
{
    for (const char *at = words; *at != '\0';) {
        size_t len = strcspn(at, "|");
        if (has_word(text, at, len))
            return true;
        at += len + (at[len] == '|');
    }
    return false;
}

/* Blanks and marks inside a Chinese name are decoration: "信用 代码". */
static void compact(const char *text, char *out, size_t size)
{
    size_t len = 0;

    for (const char *at = text; *at != '\0' && len + 1 < size; at++)
        if (strchr(" \"'$", *at) == NULL)
            out[len++] = *at;
    out[len] = '\0';
}

static const struct concept *concept_in(const char *given)
{
    char text[512];
    bool chinese = false;

    for (const char *at = given; *at != '\0'; at++)
        chinese = chinese || (unsigned char)*at >= 0x80;
    if (chinese)
        compact(given, text, sizeof text);
    else
        snprintf(text, sizeof text, "%s", given);

    for (size_t i = 0; i < CONCEPT_COUNT; i++)
        if (has_any(text, concepts[i].words))
            return &concepts[i];
    return NULL;
}

const char *infer_concept(const char *name, const char *comment, int *semantic_r)
{
    const struct concept *found = concept_in(name), *said = concept_in(comment);

    /* The name is what the column is called, unless it says less than the comment: "code". */
    if (found == NULL || (found->semantic == 0 && said != NULL && said->semantic != 0))
        found = said;
    *semantic_r = found != NULL ? found->semantic : 0;
    return found != NULL ? found->field : "";
}

/* Share of two-character pieces in common, 0 to 100 (Dice); ASCII case and marks are ignored. */
static int piece_likeness(const char *a, const char *b)
{
    uint32_t left[64], right[64];
    size_t left_count = 0, right_count = 0, common = 0;
    bool used[64] = { false };

    for (int side = 0; side < 2; side++) {
        const char *text = side == 0 ? a : b;
        size_t len = strlen(text), *count = side == 0 ? &left_count : &right_count;
        for (size_t at = 0; at < len && *count < 64;) {
            uint32_t cp = 0;
            at += utf8_decode((const uint8_t *)text + at, len - at, &cp);
            if (cp >= 0x80 || is_word((char)cp))
                (side == 0 ? left : right)[(*count)++] =
                    cp < 0x80 ? (uint32_t)tolower((int)cp) : cp;
        }
    }
    if (left_count == 1 && right_count == 1)
        return left[0] == right[0] ? 100 : 0;
    if (left_count < 2 || right_count < 2)
        return 0;
    for (size_t i = 0; i + 1 < left_count; i++)
        for (size_t j = 0; j + 1 < right_count; j++)
            if (!used[j] && left[i] == right[j] && left[i + 1] == right[j + 1]) {
                used[j] = true;
                common++;
                break;
            }
    return (int)(200 * common / (left_count + right_count - 2));
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

int infer_likeness(const struct infer_column *column, const char *field, const char *label_zh)
{
    int semantic = 0, best = 0;
    const char *a = infer_concept(column->name, column->comment, &semantic);
    const char *b = infer_concept(field, label_zh, &semantic);

    best = larger(piece_likeness(column->name, field), piece_likeness(column->comment, field));
    if (label_zh[0] != '\0') {
        best = larger(best, piece_likeness(column->name, label_zh));
        best = larger(best, piece_likeness(column->comment, label_zh));
    }
    return a[0] != '\0' && strcmp(a, b) == 0 ? larger(best, 80) : best;
}

static bool legend_mark(uint32_t cp)
{
    return cp == ' ' || cp == ':' || cp == '=' || cp == '-' || cp == '.' || cp == ')' ||
           cp == 0xFF1A || cp == 0x3001 || cp == 0xFF0D || cp == 0xFF1D || cp == 0x3000;
}

static bool legend_end(uint32_t cp)
{
    return cp == ' ' || cp == ',' || cp == ';' || cp == '/' || cp == ')' || cp == 0xFF0C ||
           cp == 0xFF1B || cp == 0x3001 || cp == 0x3002 || cp == 0xFF09 || cp == 0x3000 ||
           (cp >= '0' && cp <= '9');
}

/* Characters from `at` on that are marks, or up to the end of a word. */
static size_t legend_run(const char *text, size_t len, size_t at, bool marks)
{
    size_t start = at;

    while (at < len) {
        uint32_t cp = 0;
        size_t step = utf8_decode((const uint8_t *)text + at, len - at, &cp);
        if (marks ? !legend_mark(cp) : legend_end(cp))
            break;
        at += step;
    }
    return at - start;
}

const char *infer_legend(const char *comment, const char *code, struct arena *arena)
{
    size_t len = strlen(comment), code_len = strlen(code);
    const char *found = code_len > 0 ? strstr(comment, code) : NULL;

    for (; found != NULL; found = strstr(found + 1, code)) {
        size_t at = (size_t)(found - comment) + code_len;
        if ((found > comment && is_word(found[-1])) || is_word(comment[at]))
            continue; /* "1" inside "11" */
        size_t marks = legend_run(comment, len, at, true);
        size_t word = legend_run(comment, len, at + marks, false);
        if (word > 0 && (marks > 0 || (unsigned char)comment[at] >= 0x80))
            return arena_strndup(arena, comment + at + marks, word);
    }
    return NULL;
}

const char *infer_snake(struct arena *arena, const char *name)
{
    size_t len = strlen(name), out = 0;
    char *text = arena_alloc(arena, 2 * len + 2);

    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool upper = c >= 'A' && c <= 'Z';
        if (!is_word(c)) {
            if (out > 0 && text[out - 1] != '_')
                text[out++] = '_';
            continue;
        }
        if (upper && i > 0 && name[i - 1] >= 'a' && name[i - 1] <= 'z')
            text[out++] = '_';
        if (out == 0 && c >= '0' && c <= '9')
            text[out++] = 'n'; /* a field's name begins with a letter */
        text[out++] = (char)tolower((unsigned char)c);
    }
    while (out > 0 && text[out - 1] == '_')
        out--;
    text[out] = '\0';
    return text;
}
