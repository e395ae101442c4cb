/* Normalisers with a closed list of words: sex, ethnic group, marital status, truth. */
#include <string.h>

#include "schema/normaliser_internal.h"

struct word {
    const char *form; /* folded: ASCII width, upper case, no blanks */
    const char *canonical;
};

static const struct normaliser_fold word_fold = {
    .from = FOLD_IDENTIFIER_FROM,
    .to = FOLD_IDENTIFIER_TO,
    .variants = VARIANT_LOWER | VARIANT_WIDE | VARIANT_BLANK,
};

static struct normaliser_result run_words(const struct word *words, size_t count, struct buf *value,
                                          const char *unknown)
{
    char text[IDENTIFIER_BYTES_MAX];
    size_t len = normaliser_identifier(value, text);
    if (len == IDENTIFIER_BYTES_MAX)
        return NORMALISER_FAILS(unknown);
    for (size_t i = 0; i < count; i++)
        if (words[i].form[0] == text[0] && strcmp(words[i].form, text) == 0)
            return normaliser_become(value, words[i].canonical, strlen(words[i].canonical));
    return NORMALISER_FAILS(unknown);
}

static int reverse_words(const struct word *words, size_t count, const char *canonical,
                         struct text_list *forms)
{
    size_t before = forms->count;
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i].canonical, canonical) == 0)
            text_list_add(forms, words[i].form);
    return forms->count > before ? 0 : -1;
}

/* --- GB/T 2261.1 --------------------------------------------------------------------------------
 */

static const struct word sexes[] = {
    { "0", "0" },    { "1", "1" },          { "2", "2" },
    { "9", "9" },    { "男", "1" },         { "男性", "1" },
    { "M", "1" },    { "MALE", "1" },       { "女", "2" },
    { "女性", "2" }, { "F", "2" },          { "FEMALE", "2" },
    { "未知", "0" }, { "未知的性别", "0" }, { "", "9" },
    { "空", "9" },   { "未说明", "9" },     { "未说明的性别", "9" },
};
enum { SEX_COUNT = sizeof sexes / sizeof sexes[0] };

static struct normaliser_result run_cn_sex(const void *config, struct buf *value)
{
    (void)config;
    return run_words(sexes, SEX_COUNT, value, "CN_SEX_UNKNOWN_WORD");
}

static int reverse_cn_sex(const void *config, const char *canonical, struct text_list *forms)
{
    (void)config;
    return reverse_words(sexes, SEX_COUNT, canonical, forms);
}

const struct normaliser_kind normaliser_cn_sex = {
    .base = { "cn_sex", run_cn_sex, "GB/T 2261.1: 0 unknown, 1 male, 2 female, 9 not stated" },
    .back = BACK_FINITE,
    .loss = LOSS_NATIVE,
    .fold = &word_fold,
    .reverse = reverse_cn_sex,
};

/* --- GB/T 2261.2 --------------------------------------------------------------------------------
 */

static const struct word maritals[] = {
    { "10", "10" },
    { "20", "20" },
    { "21", "21" },
    { "22", "22" },
    { "23", "23" },
    { "30", "30" },
    { "40", "40" },
    { "90", "90" },
    { "未婚", "10" },
    { "已婚", "20" },
    { "有配偶", "20" },
    { "初婚", "21" },
    { "再婚", "22" },
    { "复婚", "23" },
    { "丧偶", "30" },
    { "离婚", "40" },
    { "离异", "40" },
    { "未说明", "90" },
    { "未说明的婚姻状况", "90" },
};
enum { MARITAL_COUNT = sizeof maritals / sizeof maritals[0] };

static struct normaliser_result run_cn_marital(const void *config, struct buf *value)
{
    (void)config;
    return run_words(maritals, MARITAL_COUNT, value, "CN_MARITAL_UNKNOWN_WORD");
}

static int reverse_cn_marital(const void *config, const char *canonical, struct text_list *forms)
{
    (void)config;
    return reverse_words(maritals, MARITAL_COUNT, canonical, forms);
}

const struct normaliser_kind normaliser_cn_marital = {
    .base = { "cn_marital", run_cn_marital, "GB/T 2261.2 marital status: 10 to 90" },
    .back = BACK_FINITE,
    .loss = LOSS_NATIVE,
    .fold = &word_fold,
    .reverse = reverse_cn_marital,
};

/* --- GB/T 3304 ----------------------------------------------------------------------------------
 */

struct ethnic {
    const char *letters;
    const char *name; /* without 族 */
};

/* Index + 1 is the numeric code. */
static const struct ethnic ethnics[56] = {
    { "HA", "汉" },       { "MG", "蒙古" },   { "HU", "回" },       { "ZA", "藏" },
    { "UG", "维吾尔" },   { "MH", "苗" },     { "YI", "彝" },       { "ZH", "壮" },
    { "BY", "布依" },     { "CS", "朝鲜" },   { "MA", "满" },       { "DO", "侗" },
    { "YA", "瑶" },       { "BA", "白" },     { "TJ", "土家" },     { "HN", "哈尼" },
    { "KZ", "哈萨克" },   { "DA", "傣" },     { "LI", "黎" },       { "LS", "傈僳" },
    { "VA", "佤" },       { "SH", "畲" },     { "GS", "高山" },     { "LH", "拉祜" },
    { "SU", "水" },       { "DX", "东乡" },   { "NX", "纳西" },     { "JP", "景颇" },
    { "KG", "柯尔克孜" }, { "TU", "土" },     { "DU", "达斡尔" },   { "ML", "仫佬" },
    { "QI", "羌" },       { "BL", "布朗" },   { "SL", "撒拉" },     { "MN", "毛南" },
    { "GL", "仡佬" },     { "XB", "锡伯" },   { "AC", "阿昌" },     { "PM", "普米" },
    { "TA", "塔吉克" },   { "NU", "怒" },     { "UZ", "乌孜别克" }, { "RS", "俄罗斯" },
    { "EW", "鄂温克" },   { "DE", "德昂" },   { "BN", "保安" },     { "YG", "裕固" },
    { "GI", "京" },       { "TT", "塔塔尔" }, { "DR", "独龙" },     { "OR", "鄂伦春" },
    { "HZ", "赫哲" },     { "MB", "门巴" },   { "LB", "珞巴" },     { "JN", "基诺" },
};
/* Older spellings and the two codes registers use beyond the standard. */
static const struct word ethnic_extras[] = {
    { "毛难", "36" }, { "毛难族", "36" }, { "97", "97" },       { "其他", "97" },
    { "98", "98" },   { "入籍", "98" },   { "外国血统", "98" }, { "外国血统中国籍人士", "98" },
};
enum { ETHNIC_EXTRA_COUNT = sizeof ethnic_extras / sizeof ethnic_extras[0] };

/* `len` is at least 2, and 3 for names: every one begins with an ideograph of three bytes. */
static bool ethnic_matches(size_t index, const char *text, size_t len)
{
    const char *name = ethnics[index].name;
    if ((unsigned char)text[0] < 0x80)
        return strcmp(ethnics[index].letters, text) == 0;
    if (len < 3 || memcmp(name, text, 3) != 0)
        return false;
    size_t name_len = strlen(name);
    return len >= name_len && memcmp(name, text, name_len) == 0 &&
           (len == name_len || strcmp(text + name_len, "族") == 0);
}

static struct normaliser_result run_cn_ethnic(const void *config, struct buf *value)
{
    (void)config;
    char text[IDENTIFIER_BYTES_MAX];
    size_t len = normaliser_identifier(value, text);
    if (len == IDENTIFIER_BYTES_MAX)
        return NORMALISER_FAILS("CN_ETHNIC_UNKNOWN_WORD");
    int number = 0;
    if ((len == 1 || len == 2) && normaliser_all_digits(text, len))
        number = len == 1 ? text[0] - '0' : (text[0] - '0') * 10 + (text[1] - '0');
    else
        for (size_t i = 0; i < 56 && number == 0 && len > 1; i++)
            if (ethnic_matches(i, text, len))
                number = (int)i + 1;
    if (number < 1 || number > 56)
        return run_words(ethnic_extras, ETHNIC_EXTRA_COUNT, value, "CN_ETHNIC_UNKNOWN_WORD");
    const char code[2] = { (char)('0' + number / 10), (char)('0' + number % 10) };
    return normaliser_become(value, code, sizeof code);
}

static bool settled_cn_ethnic(const void *config, const char *text, size_t len)
{
    (void)config;
    if (len != 2 || !normaliser_all_digits(text, len))
        return false;
    int number = (text[0] - '0') * 10 + (text[1] - '0');
    return number >= 1 && number <= 56;
}

static int reverse_cn_ethnic(const void *config, const char *canonical, struct text_list *forms)
{
    (void)config;
    if (strlen(canonical) != 2 || !normaliser_all_digits(canonical, 2))
        return -1;
    int number = (canonical[0] - '0') * 10 + (canonical[1] - '0');
    int extra = reverse_words(ethnic_extras, ETHNIC_EXTRA_COUNT, canonical, forms);
    if (number < 1 || number > 56)
        return extra;
    const struct ethnic *group = &ethnics[number - 1];
    text_list_add(forms, canonical);
    if (canonical[0] == '0')
        text_list_add(forms, canonical + 1);
    text_list_add(forms, group->letters);
    text_list_add(forms, group->name);
    text_list_add(forms, arena_format(forms->arena, "%s族", group->name));
    return 0;
}

const struct normaliser_kind normaliser_cn_ethnic = {
    .base = { "cn_ethnic", run_cn_ethnic,
              "GB/T 3304 ethnic group: two digits, from code, letters or name" },
    .back = BACK_FINITE,
    .loss = LOSS_NATIVE,
    .fold = &word_fold,
    .reverse = reverse_cn_ethnic,
    .settled = settled_cn_ethnic,
};

/* --- truth --------------------------------------------------------------------------------------
 */

static const struct word truths[] = {
    { "TRUE", "true" }, { "T", "true" },   { "YES", "true" }, { "Y", "true" },
    { "1", "true" },    { "是", "true" },  { "有", "true" },  { "FALSE", "false" },
    { "F", "false" },   { "NO", "false" }, { "N", "false" },  { "0", "false" },
    { "否", "false" },  { "无", "false" },
};
enum { TRUTH_COUNT = sizeof truths / sizeof truths[0] };

static struct normaliser_result run_bool(const void *config, struct buf *value)
{
    (void)config;
    return run_words(truths, TRUTH_COUNT, value, "BOOL_UNKNOWN_WORD");
}

static int reverse_bool(const void *config, const char *canonical, struct text_list *forms)
{
    (void)config;
    return reverse_words(truths, TRUTH_COUNT, canonical, forms);
}

const struct normaliser_kind normaliser_bool = {
    .base = { "bool", run_bool,
              "true or false from true/t/yes/y/1/是/有 and false/f/no/n/0/否/无" },
    .back = BACK_FINITE,
    .loss = LOSS_NATIVE,
    .fold = &word_fold,
    .reverse = reverse_bool,
};
