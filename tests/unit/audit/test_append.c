#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <fcntl.h>

#include "audit/append_batch.h"
#include "audit/append_params.h"
#include "audit/head_file.h"
#include "base/err.h"
#include "base/ids.h"

/* --- batches --------------------------------------------------------------------------------- */

static struct append_item *make_item(void *worker, bool denied, uint8_t number, const char *subject)
{
    Sluice__Internal__Append append = SLUICE__INTERNAL__APPEND__INIT;
    uint8_t id[16] = { 0 };
    struct err err = ERR_INIT;
    id[0] = number;
    append.id = (ProtobufCBinaryData){ sizeof id, id };
    append.leaf = (ProtobufCBinaryData){ 4, (uint8_t *)"leaf" };
    append.denied = denied;
    append.subject = (char *)subject;
    struct append_item *item = append_item_new(worker, &append, &err);
    assert_non_null(item);
    return item;
}

static void fill(struct list *queue, bool denied, int count)
{
    for (int i = 0; i < count; i++)
        list_append(queue, &make_item(NULL, denied, (uint8_t)i, "")->link);
}

static void empty(struct list *queue)
{
    for (struct list *link; (link = list_pop(queue)) != NULL;) {
        struct append_item *item = list_item(link, struct append_item, link);
        append_item_free(&item);
    }
}

static void allowed_come_first_denied_not_never(void **state)
{
    (void)state;
    static const struct {
        int allowed, denied, allowed_taken, taken;
    } cases[] = {
        { 0, 0, 0, 0 },       { 3, 2, 3, 5 },         { 0, 600, 0, 512 },
        { 600, 0, 512, 512 }, { 600, 600, 480, 512 }, { 600, 5, 480, 485 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct append_batch batch;
        struct list allowed, denied;
        list_init(&allowed);
        list_init(&denied);
        fill(&allowed, false, cases[i].allowed);
        fill(&denied, true, cases[i].denied);
        append_batch_take(&batch, &allowed, &denied);
        assert_int_equal(batch.count, cases[i].taken);
        assert_int_equal(batch.fresh_count, cases[i].taken);
        for (int at = 0; at < cases[i].taken; at++)
            assert_int_equal(batch.items[at]->denied, at >= cases[i].allowed_taken);
        append_batch_clear(&batch);
        empty(&allowed);
        empty(&denied);
    }
}

static void known_entries_keep_their_index(void **state)
{
    (void)state;
    static struct append_batch batch;
    struct list allowed, denied;
    uint8_t known[24] = { 1 }; /* the id of item 1 */
    list_init(&allowed);
    list_init(&denied);
    fill(&allowed, false, 3);
    list_append(&allowed, &make_item(NULL, false, 2, "")->link); /* item 2 once more */
    append_batch_take(&batch, &allowed, &denied);
    known[23] = 77;
    assert_int_equal(append_batch_known(&batch, slice_of(known, 23)), -1);
    assert_int_equal(append_batch_known(&batch, slice_of(known, 24)), 1);
    assert_int_equal(batch.fresh_count, 2);
    append_batch_settle(&batch, 100);
    assert_int_equal(batch.items[0]->index, 100);
    assert_int_equal(batch.items[1]->index, 77);
    assert_int_equal(batch.items[2]->index, 101);
    assert_int_equal(batch.items[3]->index, 101);
    known[0] = 9; /* an id nobody asked for */
    assert_int_equal(append_batch_known(&batch, slice_of(known, 24)), -1);
    append_batch_clear(&batch);
}

struct answers {
    int count;
    size_t results[2];
};

static void on_answer(void *arg, void *worker, const uint8_t *data, size_t len)
{
    struct answers *answers = arg;
    Sluice__Internal__IpcMessage *message = sluice__internal__ipc_message__unpack(NULL, len, data);
    assert_non_null(message);
    assert_int_equal(message->appended->checkpoint.len, 4);
    answers->count++;
    answers->results[*(int *)worker] = message->appended->n_results;
    sluice__internal__ipc_message__free_unpacked(message, NULL);
}

static void one_answer_for_each_worker(void **state)
{
    (void)state;
    static struct append_batch batch;
    struct list allowed, denied;
    struct answers answers = { 0 };
    int workers[2] = { 0, 1 };
    list_init(&allowed);
    list_init(&denied);
    for (uint8_t i = 0; i < 5; i++)
        list_append(&allowed, &make_item(&workers[i % 2], false, i, "")->link);
    list_append(&allowed, &make_item(NULL, false, 9, "")->link); /* its worker is gone */
    append_batch_take(&batch, &allowed, &denied);
    append_batch_settle(&batch, 0);
    append_batch_answer(&batch, slice_of("note", 4), on_answer, &answers);
    assert_int_equal(answers.count, 2);
    assert_int_equal(answers.results[0], 3);
    assert_int_equal(answers.results[1], 2);
    append_batch_clear(&batch);
}

static void invalid_entries_are_refused(void **state)
{
    (void)state;
    static uint8_t large[AUDIT_LEAF_BYTES_MAX + 1];
    static char name[AUDIT_TEXT_BYTES_MAX + 2];
    uint8_t id[17] = { 0 };
    ProtobufCBinaryData short_person = { 31, large };
    memset(name, 'a', sizeof name - 1);
    for (int i = 0; i < 9; i++) {
        Sluice__Internal__Append append = SLUICE__INTERNAL__APPEND__INIT;
        struct err err = ERR_INIT;
        append.id = (ProtobufCBinaryData){ i == 0 ? 15 : i == 1 ? 17 : 16, id };
        append.leaf = (ProtobufCBinaryData){ i == 2   ? 0
                                             : i == 3 ? AUDIT_LEAF_BYTES_MAX + 1
                                                      : AUDIT_LEAF_BYTES_MAX,
                                             large };
        append.salt = (ProtobufCBinaryData){ i == 4 ? 31 : 0, large };
        append.exchange_id = (ProtobufCBinaryData){ i == 5 ? 1 : 0, id };
        append.subject = i == 6 ? name : (char *)"";
        append.dataset = i == 7 ? (char *)"\xc0\xaf" : (char *)"";
        append.n_persons = i == 8 ? 1 : 0;
        append.persons = &short_person;
        if (append_item_new(NULL, &append, &err) != NULL)
            fail_msg("case %d", i);
        assert_string_equal(err.reason, "ENTRY_INVALID");
    }
}

static void texts_are_quoted(void **state)
{
    (void)state;
    struct append_params params;
    struct merkle_frontier before, after;
    uint8_t batch_id[16] = { 0 }, key[SALT_KEY_BYTES] = { 0 };
    struct append_item *items[] = { make_item(NULL, false, 1, "a\"b\\c{},NULL'") };
    merkle_frontier_init(&before);
    merkle_frontier_init(&after);
    merkle_frontier_append(&after, items[0]->leaf_hash);
    struct append_head head = { .origin = "o", .epoch = 3, .before = &before, .after = &after };
    append_params_init(&params);
    for (int round = 0; round < 2; round++) {
        append_params_fill(&params, batch_id, &head, items, 1, key);
        assert_string_equal(params.values[0], "00000000-0000-0000-0000-000000000000");
        assert_string_equal(params.values[1], "o");
        assert_string_equal(params.values[2], "0");
        assert_string_equal(params.values[4], "3");
        assert_string_equal(params.values[7], "{01000000-0000-0000-0000-000000000000}");
        assert_string_equal(params.values[8], "\\x6c656166");
        assert_string_equal(params.values[9], "{1}");
        assert_string_equal(params.values[10], "{4}");
        assert_string_equal(params.values[14], "{\"a\\\"b\\\\c{},NULL'\"}");
        assert_string_equal(params.values[21], "{NULL}");
        assert_string_equal(params.values[22], "{NULL}");
        assert_string_equal(params.values[24], "{}");
    }
    append_params_fini(&params);
    append_item_free(&items[0]);
}

/* --- charges to a daily quota --------------------------------------------------------------------- */

static struct append_item *make_charge(uint8_t number, int64_t charge)
{
    Sluice__Internal__Append append = SLUICE__INTERNAL__APPEND__INIT;
    uint8_t id[16] = { number };
    struct err err = ERR_INIT;
    append.id = (ProtobufCBinaryData){ sizeof id, id };
    append.leaf = (ProtobufCBinaryData){ 7, (uint8_t *)"allowed" };
    append.outcome = 1;
    append.agreement = (char *)"agr-1";
    append.charge = charge;
    append.charge_day = 9;
    append.charge_partly = number == 2;
    append.refused_outcome = 2;
    if (charge > 0)
        append.refused_leaf = (ProtobufCBinaryData){ 2, (uint8_t *)"no" };
    struct append_item *item = append_item_new(NULL, &append, &err);
    assert_non_null(item);
    return item;
}

static void take_charges(struct append_batch *batch)
{
    struct list allowed, denied;
    list_init(&allowed);
    list_init(&denied);
    list_append(&allowed, &make_charge(1, 5)->link);
    list_append(&allowed, &make_item(NULL, false, 7, "")->link);
    list_append(&allowed, &make_charge(2, 3)->link);
    list_append(&allowed, &make_charge(3, -4)->link);
    list_append(&allowed, &make_charge(1, 5)->link); /* once more */
    append_batch_take(batch, &allowed, &denied);
}

static void charges_are_listed_once_and_uncharged_entries_are_not(void **state)
{
    (void)state;
    static struct append_batch batch;
    struct append_params params;
    take_charges(&batch);
    assert_true(batch.charges);
    append_params_init(&params);
    append_params_charges(&params, batch.items, batch.count);
    assert_string_equal(params.values[0], "{01000000-0000-0000-0000-000000000000,"
                                          "02000000-0000-0000-0000-000000000000,"
                                          "03000000-0000-0000-0000-000000000000}");
    assert_string_equal(params.values[1], "{\"agr-1\",\"agr-1\",\"agr-1\"}");
    assert_string_equal(params.values[2], "{5,3,-4}");
    assert_string_equal(params.values[3], "{f,t,f}");
    assert_string_equal(params.values[4], "{9,9,9}");
    append_params_fini(&params);
    append_batch_clear(&batch);
    struct list allowed, denied;
    list_init(&allowed);
    list_init(&denied);
    fill(&allowed, false, 2);
    append_batch_take(&batch, &allowed, &denied);
    assert_false(batch.charges); /* the next batch is judged by itself */
    append_batch_clear(&batch);
}

static void a_refused_entry_is_logged_as_refused(void **state)
{
    (void)state;
    static struct append_batch batch;
    uint8_t verdicts[2][24] = { { 1 }, { 2 } };
    take_charges(&batch);
    verdicts[1][23] = 2;
    struct slice both = slice_of(verdicts, sizeof verdicts);
    assert_int_equal(append_batch_charged(&batch, slice_of(verdicts, 47), 20, 1000), -1);
    assert_int_equal(append_batch_charged(&batch, slice_of(verdicts, 24), 20, 1000), -1);
    for (int round = 0; round < 2; round++) { /* a batch that is tried again is judged again */
        assert_int_equal(append_batch_charged(&batch, both, 20, 1000), 0);
        assert_true(batch.items[0]->refused && batch.items[4]->refused);
        assert_false(batch.items[1]->refused || batch.items[2]->refused || batch.items[3]->refused);
        assert_int_equal(batch.items[0]->retry_after_ms, 1000);
        assert_int_equal(batch.items[2]->charged, 2);
        assert_int_equal(batch.items[2]->charge_day, 20);
        assert_int_equal(batch.items[3]->charge_day, 9);
        assert_int_equal(append_item_leaf(batch.items[0]).len, 2);
        assert_int_equal(append_item_leaf(batch.items[2]).len, 7);
    }
    verdicts[0][23] = 5;
    assert_int_equal(append_batch_charged(&batch, both, 20, 1000), 0);
    assert_false(batch.items[0]->refused || batch.items[4]->refused);
    verdicts[0][16] = 0x80; /* a negative number of records */
    assert_int_equal(append_batch_charged(&batch, both, 20, 1000), -1);
    verdicts[0][16] = 0;
    verdicts[0][0] = 8; /* nobody's */
    assert_int_equal(append_batch_charged(&batch, both, 20, 1000), -1);
    append_batch_clear(&batch);
}

static void a_charge_needs_its_refusal_and_a_bound(void **state)
{
    (void)state;
    static const struct {
        int64_t charge;
        size_t refused;
        bool valid;
    } cases[] = {
        { 0, 0, true },           { 1, 2, true },   { -1, 0, true },
        { 1, 0, false },          { 0, 2, false },  { 1000000000, 2, true },
        { 1000000001, 2, false }, { -1, 2, false }, { INT64_MIN, 0, false },
        { INT64_MAX, 2, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Sluice__Internal__Append append = SLUICE__INTERNAL__APPEND__INIT;
        uint8_t id[16] = { 1 };
        struct err err = ERR_INIT;
        append.id = (ProtobufCBinaryData){ sizeof id, id };
        append.leaf = (ProtobufCBinaryData){ 4, (uint8_t *)"leaf" };
        append.charge = cases[i].charge;
        append.refused_leaf = (ProtobufCBinaryData){ cases[i].refused, (uint8_t *)"no" };
        struct append_item *item = append_item_new(NULL, &append, &err);
        if ((item != NULL) != cases[i].valid)
            fail_msg("case %zu", i);
        append_item_free(&item);
    }
}

/* --- the state file -------------------------------------------------------------------------- */

static void tree_of(struct merkle_frontier *tree, uint64_t size)
{
    merkle_frontier_init(tree);
    for (uint64_t i = 0; i < size; i++) {
        uint8_t hash[32];
        merkle_leaf_hash(&i, sizeof i, hash);
        merkle_frontier_append(tree, hash);
    }
}

static void note_of(const struct merkle_frontier *tree, struct buf *note)
{
    struct checkpoint checkpoint = { .origin = "log", .size = tree->size };
    merkle_frontier_root(tree, checkpoint.root);
    buf_init(note, 4096);
    (void)checkpoint_write(&checkpoint, note);
    (void)buf_append_str(note, "\n\xe2\x80\x94 log AAAAAAA=\n");
}

static void head_file_round_trip(void **state)
{
    (void)state;
    char dir[] = "/tmp/sluice-head-XXXXXX", path[64];
    struct merkle_frontier tree, again;
    struct err err = ERR_INIT;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/head", dir);
    assert_int_equal(head_file_load(path, "log", &again, &err), 0);
    for (uint64_t size = 0; size < 300; size += 37) {
        struct buf note;
        uint8_t a[32], b[32];
        tree_of(&tree, size);
        note_of(&tree, &note);
        assert_int_equal(head_file_store(path, &tree, buf_slice(&note), &err), 0);
        assert_int_equal(head_file_load(path, "log", &again, &err), 1);
        assert_int_equal(again.size, size);
        merkle_frontier_root(&tree, a);
        merkle_frontier_root(&again, b);
        assert_memory_equal(a, b, 32);
        assert_int_equal(head_file_load(path, "other", &again, &err), -1);
        buf_fini(&note);
    }
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    (void)unlink(path);
    (void)rmdir(dir);
}

/* A frontier that is not the checkpoint's, and every cut, is noticed. */
static void head_file_damage(void **state)
{
    (void)state;
    char dir[] = "/tmp/sluice-head-XXXXXX", path[64];
    struct merkle_frontier tree, other, again;
    struct err err = ERR_INIT;
    struct buf note;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/head", dir);
    tree_of(&tree, 11);
    tree_of(&other, 12);
    note_of(&tree, &note);
    assert_int_equal(head_file_store(path, &other, buf_slice(&note), &err), 0);
    assert_int_equal(head_file_load(path, "log", &again, &err), -1);
    assert_string_equal(err.reason, "AUDIT_STATE_FILE_INVALID");
    assert_null(strstr(err.text, "/tmp"));

    assert_int_equal(head_file_store(path, &tree, buf_slice(&note), &err), 0);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    for (off_t len = info.st_size - 1; len >= 0; len--) {
        assert_int_equal(truncate(path, len), 0);
        assert_int_equal(head_file_load(path, "log", &again, &err), -1);
    }
    (void)unlink(path);
    (void)rmdir(dir);
    assert_int_equal(head_file_store(path, &tree, buf_slice(&note), &err), -1);
    assert_string_equal(err.reason, "AUDIT_STATE_FILE");
    buf_fini(&note);
}

/* A write that power loss tore leaves the checkpoint before it. */
static void head_file_survives_a_torn_write(void **state)
{
    (void)state;
    char dir[] = "/tmp/sluice-head-XXXXXX", path[64];
    struct merkle_frontier tree, again;
    struct err err = ERR_INIT;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/head", dir);
    for (uint64_t size = 5; size <= 8; size++) {
        struct buf note;
        tree_of(&tree, size);
        note_of(&tree, &note);
        assert_int_equal(head_file_store(path, &tree, buf_slice(&note), &err), 0);
        buf_fini(&note);
    }
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    int fd = open(path, O_WRONLY); /* 5 and 7 stand in the first half, 6 and 8 in the second */
    assert_int_equal(pwrite(fd, "torn", 4, info.st_size / 2 + 40), 4);
    assert_int_equal(head_file_load(path, "log", &again, &err), 1);
    assert_int_equal(again.size, 7);
    assert_int_equal(pwrite(fd, "torn", 4, 40), 4);
    assert_int_equal(head_file_load(path, "log", &again, &err), -1);
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(rmdir(dir), 0);
}

/* Who holds the folder and does not go on is not waited for without end. */
static void head_file_does_not_wait_for_ever(void **state)
{
    (void)state;
    char dir[] = "/tmp/sluice-head-XXXXXX", path[64];
    struct merkle_frontier tree;
    struct err err = ERR_INIT;
    struct buf note;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/head", dir);
    tree_of(&tree, 11);
    note_of(&tree, &note);
    int other = open(dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(other, LOCK_EX), 0);
    assert_int_equal(head_file_store(path, &tree, buf_slice(&note), &err), -1);
    assert_string_equal(err.reason, "AUDIT_STATE_FILE");
    assert_int_equal(flock(other, LOCK_UN), 0);
    assert_int_equal(head_file_store(path, &tree, buf_slice(&note), &err), 0);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0); /* it was let go of */
    (void)close(other);
    (void)unlink(path);
    (void)rmdir(dir);
    buf_fini(&note);
}

/* A file of before there were slots is read, and becomes one with slots. */
static void head_file_takes_over_the_file_without_slots(void **state)
{
    (void)state;
    char dir[] = "/tmp/sluice-head-XXXXXX", path[64], encoded[4096];
    struct merkle_frontier tree, again;
    struct err err = ERR_INIT;
    struct buf note, bytes;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/head", dir);
    tree_of(&tree, 11);
    note_of(&tree, &note);
    buf_init(&bytes, sizeof encoded);
    (void)merkle_frontier_write(&tree, &bytes);
    size_t len = base64_encode(bytes.data, bytes.len, encoded);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fprintf(file, "sluice audit head 1\n%.*s\n\n%.*s", (int)len, encoded, (int)note.len,
                  (const char *)note.data);
    (void)fclose(file);
    assert_int_equal(head_file_load(path, "log", &again, &err), 1);
    assert_int_equal(again.size, 11);
    buf_fini(&note);
    tree_of(&tree, 12);
    note_of(&tree, &note);
    assert_int_equal(head_file_store(path, &tree, buf_slice(&note), &err), 0);
    assert_int_equal(head_file_load(path, "log", &again, &err), 1);
    assert_int_equal(again.size, 12);
    buf_fini(&note);
    buf_fini(&bytes);
    (void)unlink(path);
    assert_int_equal(rmdir(dir), 0);
}

/* Two auditors of one gateway take turns while a reload goes on: the newer checkpoint stays. */
static void head_file_keeps_the_newer_checkpoint(void **state)
{
    (void)state;
    char dir[] = "/tmp/sluice-head-XXXXXX", path[64];
    struct merkle_frontier newer, older, again;
    struct err err = ERR_INIT;
    struct buf newer_note, older_note;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/head", dir);
    tree_of(&newer, 12);
    tree_of(&older, 11);
    note_of(&newer, &newer_note);
    note_of(&older, &older_note);
    assert_int_equal(head_file_store(path, &newer, buf_slice(&newer_note), &err), 0);
    assert_int_equal(head_file_store(path, &older, buf_slice(&older_note), &err), 0);
    assert_int_equal(head_file_load(path, "log", &again, &err), 1);
    assert_int_equal(again.size, 12);
    buf_fini(&newer_note);
    buf_fini(&older_note);
    (void)unlink(path);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allowed_come_first_denied_not_never),
        cmocka_unit_test(known_entries_keep_their_index),
        cmocka_unit_test(one_answer_for_each_worker),
        cmocka_unit_test(invalid_entries_are_refused),
        cmocka_unit_test(texts_are_quoted),
        cmocka_unit_test(charges_are_listed_once_and_uncharged_entries_are_not),
        cmocka_unit_test(a_refused_entry_is_logged_as_refused),
        cmocka_unit_test(a_charge_needs_its_refusal_and_a_bound),
        cmocka_unit_test(head_file_round_trip),
        cmocka_unit_test(head_file_damage),
        cmocka_unit_test(head_file_survives_a_torn_write),
        cmocka_unit_test(head_file_does_not_wait_for_ever),
        cmocka_unit_test(head_file_takes_over_the_file_without_slots),
        cmocka_unit_test(head_file_keeps_the_newer_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
