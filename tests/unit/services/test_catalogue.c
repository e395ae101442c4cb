/* Catalogue entries: what they must say, how an edition is kept, and the deadline that a step begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "services/catalogue_check.h"
#include "services/catalogue_rows.h"

enum { NOON_2026_03_02_S = 1772424000, DAY_S = 86400 }; /* a Monday, 12:00 in Shanghai */

/* A sound entry of one item; the messages are the caller's storage. */
struct sample {
    Sluice__V1__CatalogueContent content;
    Sluice__V1__CatalogueItem item;
    Sluice__V1__CatalogueItem *items[1];
    Sluice__V1__CatalogueContent__Mode modes[2];
    char *codes[1];
};

static void sample_init(struct sample *sample)
{
    memset(sample, 0, sizeof *sample);
    sluice__v1__catalogue_content__init(&sample->content);
    sluice__v1__catalogue_item__init(&sample->item);
    sample->items[0] = &sample->item;
    sample->modes[0] = SLUICE__V1__CATALOGUE_CONTENT__MODE__API;
    sample->modes[1] = SLUICE__V1__CATALOGUE_CONTENT__MODE__FILE;
    sample->codes[0] = (char *)"307001/3";
    sample->item.name = (char *)"名称";
    sample->item.type = (char *)"字符型";
    sample->item.source_department = (char *)"statistics";
    sample->item.sensitivity = SLUICE__OPTIONS__SENSITIVITY__GENERAL_2;
    sample->item.personal = SLUICE__V1__CATALOGUE_ITEM__PERSONAL__NONE;
    Sluice__V1__CatalogueContent *content = &sample->content;
    content->dataset = (char *)"statistics/towns";
    content->title = content->provider = content->summary = content->format = (char *)"某";
    content->sharing = SLUICE__V1__SHARING_CATEGORY__OPEN;
    content->cycle = SLUICE__V1__CATALOGUE_CONTENT__CYCLE__YEARLY;
    content->grade = SLUICE__OPTIONS__SENSITIVITY__GENERAL_2;
    content->modes = sample->modes;
    content->n_modes = 2;
    content->items = sample->items;
    content->n_items = 1;
}

static const char *reason_of(struct sample *sample)
{
    static struct err err;
    struct arena arena;
    arena_init(&arena);
    err_clear(&err);
    int result = catalogue_check(&arena, &sample->content, NULL, &err);
    assert_int_equal(result, err.code == ERR_OK ? 0 : -1);
    if (result == 0)
        assert_string_equal(sample->item.element, sample->item.name);
    else
        assert_int_equal(strncmp(err.text, "statistics/towns: ", 18), 0);
    arena_fini(&arena);
    return err.reason;
}

#define REFUSED(change_, reason_)                                                                  \
    do {                                                                                           \
        struct sample sample;                                                                      \
        sample_init(&sample);                                                                      \
        Sluice__V1__CatalogueContent *content = &sample.content;                                   \
        Sluice__V1__CatalogueItem *item = &sample.item;                                            \
        change_;                                                                                   \
        (void)content;                                                                             \
        (void)item;                                                                                \
        assert_string_equal(reason_of(&sample), reason_);                                          \
    } while (0)

static void an_entry_says_what_it_must(void **state)
{
    (void)state;
    char longest[1026];
    memset(longest, 'x', sizeof longest);
    longest[1025] = '\0';
    REFUSED((void)0, "");
    REFUSED(content->format = (char *)"", "ENTRY_INCOMPLETE");
    REFUSED(content->category = longest, "TEXT_TOO_LONG");
    REFUSED(content->category = longest + 1, "");
    REFUSED(content->code = (char *)"307001/12", "");
    REFUSED(content->code = (char *)"3070011234/1", "");
    REFUSED(content->code = (char *)"30700/1", "CODE_INVALID");
    REFUSED(content->code = (char *)"007001/1", "CODE_INVALID");
    REFUSED(content->code = (char *)"307001/", "CODE_INVALID");
    REFUSED(content->code = (char *)"307001/1x", "CODE_INVALID");
    REFUSED(content->provider_code = (char *)"11100000000013338W", "");
    REFUSED(content->provider_code = (char *)"11100000000013338I", "CODE_INVALID");
    REFUSED(content->released_on = (char *)"2026-02-29", "DATE_INVALID");
    REFUSED(content->sharing = 4, "SHARING_INVALID");
    REFUSED(content->sharing = SLUICE__V1__SHARING_CATEGORY__DENIED, "LEGAL_BASIS_MISSING");
    REFUSED(content->legal_basis = (char *)"law", "LEGAL_BASIS_EXTRA");
    REFUSED(content->sharing = SLUICE__V1__SHARING_CATEGORY__CONDITIONAL, "CONDITIONS_MISSING");
    REFUSED(content->conditions = (char *)"c", "CONDITIONS_EXTRA");
    REFUSED(content->cycle = 9, "CYCLE_INVALID");
    REFUSED(sample.modes[1] = sample.modes[0], "MODE_INVALID");
    REFUSED(sample.modes[1] = 40, "MODE_INVALID");
    REFUSED(content->n_modes = 0, "ENTRY_INCOMPLETE");
    REFUSED(content->grade = 7, "GRADE_INVALID");
    REFUSED(content->grade = SLUICE__OPTIONS__SENSITIVITY__GENERAL_1, "GRADE_INVALID");
    REFUSED(content->n_items = 0, "ITEMS_MISSING");
    REFUSED(content->n_items = CATALOGUE_ITEMS_MAX + 1, "ITEMS_MISSING");
    REFUSED(item->source_department = (char *)"", "ENTRY_INCOMPLETE");
    REFUSED(item->type = longest, "TEXT_TOO_LONG");
    REFUSED(item->personal = 0, "ITEM_INVALID");
    REFUSED(item->sensitivity = 0, "GRADE_INVALID");
    REFUSED(item->field = (char *)"code", "FIELD_UNKNOWN");
    REFUSED((content->sharing = SLUICE__V1__SHARING_CATEGORY__DENIED,
             content->legal_basis = (char *)"law", content->n_modes = 0),
            "");
    struct sample personal;
    sample_init(&personal);
    assert_false(catalogue_has_personal(&personal.content));
    personal.item.personal = SLUICE__V1__CATALOGUE_ITEM__PERSONAL__GENERAL;
    assert_true(catalogue_has_personal(&personal.content));
}

static void names_are_two_words(void **state)
{
    (void)state;
    static const char *const good[] = { "a/b", "civil-affairs/towns_2", "a1/b-c" };
    static const char *const bad[] = { "",      "a",     "/b",   "a/",   "A/b",
                                       "a/b/c", "a_b/c", "1a/b", "a/b ", "a/行" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(catalogue_name_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(catalogue_name_valid(bad[i]));
}

static void an_edition_is_kept_by_the_names_of_the_proto(void **state)
{
    (void)state;
    struct sample one, other;
    struct buf json;
    struct err err = ERR_INIT;
    sample_init(&one);
    sample_init(&other);
    buf_init(&json, 65536);
    assert_int_equal(catalogue_encode(&one.content, &json, &err), 0);
    /* What is empty stands there, too: the database asks for it by name. */
    assert_non_null(strstr(buf_cstr(&json), "\"legal_basis\":\"\""));
    assert_non_null(strstr(buf_cstr(&json), "\"sharing\":\"OPEN\""));
    assert_non_null(strstr(buf_cstr(&json), "\"source_department\":\"statistics\""));
    buf_fini(&json);
    assert_true(catalogue_equal(&one.content, &other.content));
    other.item.name = (char *)"称名";
    assert_false(catalogue_equal(&one.content, &other.content));
    other.item.name = (char *)"名称二";
    assert_false(catalogue_equal(&one.content, &other.content));
}

static void each_step_has_its_deadline(void **state)
{
    (void)state;
    static const struct {
        enum catalogue_event event;
        enum catalogue_state from, next;
        int published;
        bool stored; /* the deadline that runs was told */
        const char *due;
    } cases[] = {
        { CATALOGUE_ASSESS, CATALOGUE_DRAFT, CATALOGUE_ASSESSED, 0, false, NULL },
        { CATALOGUE_SUBMIT, CATALOGUE_DEPT_APPROVED, CATALOGUE_SUBMITTED, 0, false, NULL },
        { CATALOGUE_CHANGE, CATALOGUE_PUBLISHED, CATALOGUE_CHANGE_DUE, 1, false, "2026-03-16" },
        /* Begun on 26 February, a Thursday. */
        { CATALOGUE_ASSESS, CATALOGUE_CHANGE_DUE, CATALOGUE_CHANGE_DUE, 1, false, "2026-03-12" },
        { CATALOGUE_ASSESS, CATALOGUE_CHANGE_DUE, CATALOGUE_CHANGE_DUE, 1, true, "2026-03-13" },
        { CATALOGUE_EXTEND, CATALOGUE_CHANGE_DUE, CATALOGUE_CHANGE_DUE, 1, true, "2026-03-19" },
        { CATALOGUE_SUBMIT, CATALOGUE_CHANGE_DUE, CATALOGUE_SUBMITTED, 1, true, "2026-03-04" },
        { CATALOGUE_RETURN_CHANGE, CATALOGUE_SUBMITTED, CATALOGUE_CHANGE_DUE, 1, true,
          "2026-03-12" },
        { CATALOGUE_PUBLISH, CATALOGUE_SUBMITTED, CATALOGUE_PUBLISHED, 1, true, NULL },
        { CATALOGUE_RETIRE, CATALOGUE_CHANGE_DUE, CATALOGUE_RETIRED, 1, true, NULL },
    };
    struct arena arena;
    struct err err = ERR_INIT;
    struct calendar *calendar = calendar_new(), *none = calendar_new();
    assert_int_equal(calendar_add_year(calendar, 2026, &err), 0);
    arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Sluice__V1__CatalogueEntry message;
        sluice__v1__catalogue_entry__init(&message);
        message.published_edition = cases[i].published;
        message.extension_days = 5;
        int64_t now_us = NOON_2026_03_02_S * INT64_C(1000000);
        struct catalogue_row row = { .message = &message,
                                     .state = cases[i].from,
                                     .now_us = now_us,
                                     .change_from_us = now_us - INT64_C(4) * DAY_S * 1000000,
                                     .change_days = 10,
                                     .due_stored = cases[i].stored,
                                     .update_days = 10,
                                     .review_days = 2 };
        assert_true(calendar_date_parse("2026-03-13", 10, &row.due));
        const char *due = catalogue_next_due(&arena, &row, calendar, cases[i].event, cases[i].next);
        if (cases[i].due == NULL)
            assert_null(due);
        else
            assert_string_equal(due, cases[i].due);
        /* Without a calendar only what was told already can be told. */
        due = catalogue_next_due(&arena, &row, none, cases[i].event, cases[i].next);
        assert_true(due == NULL || strcmp(due, "2026-03-13") == 0);
    }
    arena_fini(&arena);
    calendar_free(&calendar);
    calendar_free(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_says_what_it_must),
        cmocka_unit_test(names_are_two_words),
        cmocka_unit_test(an_edition_is_kept_by_the_names_of_the_proto),
        cmocka_unit_test(each_step_has_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
