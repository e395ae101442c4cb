/* Exact numbers: rounding, minor units, units of measure, and the way back. */
#include "normaliser_support.h"

static const struct vector vectors[] = {
    { "decimal", "12 34", NULL, "DECIMAL_SYNTAX" },
    { "decimal", " １２．５ ", "12.5", NULL },
    { "decimal", "- 5", "-5", NULL },
    { "decimal", "", NULL, "DECIMAL_SYNTAX" },
    { "decimal: {scale: 2, rounding: exact}", "1.005", NULL, "DECIMAL_SCALE" },
    { "decimal: {scale: 2, rounding: half_up}", "1.005", "1.01", NULL },
    { "decimal: {scale: 2, rounding: half_up}", "-1.005", "-1.01", NULL },
    { "decimal: {scale: 2, rounding: half_up}", "1.00499", "1.00", NULL },
    { "decimal: {scale: 2, rounding: half_up}", "99.995", "100.00", NULL },
    { "decimal: {scale: 2, rounding: half_even}", "1.005", "1.00", NULL },
    { "decimal: {scale: 2, rounding: half_even}", "1.015", "1.02", NULL },
    { "decimal: {scale: 2, rounding: half_even}", "1.0050001", "1.01", NULL },
    { "decimal: {scale: 0, rounding: half_even}", "0.5", "0", NULL },
    { "decimal: {scale: 0, rounding: half_even}", "1.5", "2", NULL },
    { "decimal: {scale: 0, rounding: half_even}", "-2.5", "-2", NULL },
    { "decimal: {scale: 2, rounding: down}", "1.009", "1.00", NULL },
    { "decimal: {scale: 2, rounding: down}", "-1.009", "-1.00", NULL },
    { "decimal: {scale: 2, rounding: up}", "1.0001", "1.01", NULL },
    { "decimal: {scale: 2, rounding: up}", "1.0000", "1.00", NULL },
    { "decimal: {scale: 0, rounding: up}", "-0.07", "-1", NULL },
    { "decimal: {scale: 0, rounding: half_up}", ".07", "0", NULL },
    { "decimal: {minor: 2}", "0.07", "7", NULL },
    { "decimal: {minor: 2}", "1,234.5", "123450", NULL },
    { "decimal: {minor: 2}", "0.075", NULL, "DECIMAL_SCALE" },
    { "decimal: {minor: 2, rounding: half_even}", "0.075", "8", NULL },
    { "decimal: {minor: 2, rounding: down}", "0.075", "7", NULL },
    { "decimal: {minor: 0}", "7.0", "7", NULL },
    { "unit: {from: 万元, to: 元}", "0.07", "700", NULL },
    { "unit: {from: 万元, to: 元}", "1.50", "15000", NULL },
    { "unit: {from: 元, to: 分}", "0.07", "7", NULL },
    { "unit: {from: 元, to: 亿元}", "1", "0.00000001", NULL },
    { "unit: {from: cm, to: mm}", "175.5", "1755", NULL },
    { "unit: {from: m, to: mm}", "1.755", "1755", NULL },
    { "unit: {from: 公里, to: m}", "1.5", "1500", NULL },
    { "unit: {from: 里, to: km}", "3", "1.5", NULL },
    { "unit: {from: 尺, to: m}", "3", "1", NULL },
    { "unit: {from: 尺, to: m}", "1", NULL, "UNIT_INEXACT" },
    { "unit: {from: 亩, to: m2}", "3", "2000", NULL },
    { "unit: {from: 亩, to: m2}", "0.6", "400", NULL },
    { "unit: {from: 亩, to: m2}", "1", NULL, "UNIT_INEXACT" },
    { "unit: {from: 亩, to: m2, scale: 2}", "1", NULL, "DECIMAL_SCALE" },
    { "unit: {from: 亩, to: m2, scale: 2, rounding: half_up}", "1", "666.67", NULL },
    { "unit: {from: 亩, to: m2, scale: 2, rounding: down}", "1", "666.66", NULL },
    { "unit: {from: 亩, to: m2, scale: 0, rounding: half_even}", "1", "667", NULL },
    { "unit: {from: 亩, to: m2, scale: 2, rounding: half_up}", "-1", "-666.67", NULL },
    { "unit: {from: 亩, to: 公顷}", "15", "1", NULL },
    { "unit: {from: 公顷, to: 亩}", "1", "15", NULL },
    { "unit: {from: m2, to: 亩}", "1", "0.0015", NULL },
    { "unit: {from: 斤, to: kg}", "3", "1.5", NULL },
    { "unit: {from: kg, to: 斤}", "1.5", "3", NULL },
    { "unit: {from: 吨, to: kg}", "1.234", "1234", NULL },
    { "unit: {from: g, to: t}", "1", "0.000001", NULL },
    { "unit: {from: 两, to: g}", "1", "50", NULL },
    { "unit: {from: h, to: min}", "1.5", "90", NULL },
    { "unit: {from: min, to: h}", "1", NULL, "UNIT_INEXACT" },
    { "unit: {from: '%', to: '1'}", "12.5", "0.125", NULL },
    { "unit: {from: 万人, to: 人}", "0.5", "5000", NULL },
    { "unit: {from: 万元, to: 元}", "1.5万", NULL, "DECIMAL_SYNTAX" },
    { "unit: {from: 万元, to: 元, scale: 2}", "1.234567", "12345.67", NULL },
    { "unit: {power: 4, scale: 2, rounding: half_up}", "1.23456789", "12345.68", NULL },
    { "unit: {from: 万元, to: 元}",
      "1234567890123456789012345678901234567890123456789012345678901234", NULL,
      "DECIMAL_TOO_LONG" },
    { "unit: {from: 万元, to: 元}", "123456789012345678901234567890123456789012345678901234567890",
      "1234567890123456789012345678901234567890123456789012345678900000", NULL },
    { "decimal: {scale: 30}", "12345678901234567890123456789012345", NULL, "DECIMAL_TOO_LONG" },
    { "decimal", "0.0000000000000000000000000000001", NULL, "DECIMAL_SYNTAX" },
};

static void vectors_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(vectors); i++)
        run_vector(i, &vectors[i]);
}

/* Whatever was delivered by rounding in the stated way stays as it is. */
static void rounded_numbers_are_fixed_points(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(vectors); i++) {
        struct vector again = vectors[i];
        again.in = again.out;
        if (again.out != NULL && strncmp(again.step, "unit", 4) != 0 &&
            strstr(again.step, "minor") == NULL)
            run_vector(i, &again);
    }
}

static void what_is_exact_leads_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(vectors); i++) {
        if (vectors[i].out == NULL)
            continue;
        struct err err = ERR_INIT;
        struct normaliser_step step = read_step(vectors[i].step, &err);
        struct buf value;
        buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
        buf_append_str(&value, vectors[i].out);
        int result = normaliser_write(&step, &value);
        if (result != 0 && normaliser_loss(&step) != LOSS_SOME_VALUES)
            fail_msg("row %zu: %s(%s) is not written", i, vectors[i].step, vectors[i].out);
        if (result == 0) {
            assert_int_not_equal(normaliser_run(&step, &value).verdict, NORMALISER_ERROR);
            assert_string_equal(buf_cstr(&value), vectors[i].out);
        }
        buf_fini(&value);
        drop_step(&step);
    }
}

/* The textbook case against doubles: 0.07 * 10000 * 100 is 70000.00000000001 there. */
static void every_fen_is_exact(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct normaliser_step step = read_step("decimal: {minor: 2}", &err);
    struct buf value;
    buf_init(&value, 64);
    for (int fen = 0; fen < 100000; fen += 7) {
        char text[32], wanted[32];
        (void)snprintf(text, sizeof text, "%d.%02d", fen / 100, fen % 100);
        (void)snprintf(wanted, sizeof wanted, "%d", fen);
        buf_reset(&value);
        buf_append_str(&value, text);
        assert_int_not_equal(normaliser_run(&step, &value).verdict, NORMALISER_ERROR);
        assert_string_equal(buf_cstr(&value), wanted);
        assert_int_equal(normaliser_write(&step, &value), 0);
        assert_string_equal(buf_cstr(&value), text);
    }
    buf_fini(&value);
}

static void loss_depends_on_rounding(void **state)
{
    (void)state;
    static const struct {
        const char *step;
        enum normaliser_loss loss;
    } table[] = {
        { "unit: {from: 亩, to: m2}", LOSS_NATIVE },
        { "unit: {from: 亩, to: m2, scale: 2}", LOSS_NATIVE },
        { "unit: {from: m2, to: 亩, scale: 2, rounding: half_up}", LOSS_SOME_VALUES },
        { "unit: {from: m2, to: km2, scale: 2, rounding: half_up}", LOSS_NATIVE },
        { "unit: {power: 18, scale: 30, rounding: half_up}", LOSS_SOME_VALUES },
        { "unit: {power: 4, scale: 2, rounding: half_up}", LOSS_NATIVE },
        { "decimal: {minor: 2, rounding: up}", LOSS_NATIVE },
    };
    for (size_t i = 0; i < ROWS(table); i++) {
        struct err err = ERR_INIT;
        struct normaliser_step step = read_step(table[i].step, &err);
        assert_int_equal(normaliser_loss(&step), table[i].loss);
    }
}

static void wrong_parameters_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *step;
        const char *says;
    } table[] = {
        { "unit: {from: 万元}", "unit needs two units" },
        { "unit: {from: cm, to: mm, power: 1}", "unit needs two units" },
        { "unit: {from: cm, to: kg}", "cm and kg measure different things" },
        { "unit: {from: 立方, to: L}", "did you mean \"立方米\"?" },
        { "unit: {from: parsec, to: m}", "give the power of ten instead" },
        { "unit: {power: 4, rounding: down}", "rounding needs scale" },
        { "decimal: {rounding: up}", "rounding needs scale or minor" },
        { "decimal: {scale: 2, rounding: near}", "rounding is exact, half_up" },
        { "decimal: {scale: 2, minor: 2}", "give minor or scale" },
        { "decimal: {scale: 31}", "the number must be from 0 to 30" },
    };
    for (size_t i = 0; i < ROWS(table); i++) {
        struct err err = ERR_INIT;
        struct normaliser_step step = read_step(table[i].step, &err);
        assert_null(step.kind);
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("row %zu: %s", i, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_hold),
        cmocka_unit_test(rounded_numbers_are_fixed_points),
        cmocka_unit_test(what_is_exact_leads_back),
        cmocka_unit_test(every_fen_is_exact),
        cmocka_unit_test(loss_depends_on_rounding),
        cmocka_unit_test(wrong_parameters_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
