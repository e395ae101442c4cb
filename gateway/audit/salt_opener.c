#include "audit/salt_opener.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/loop.h"

struct salt_opener {
    struct loop *loop;
    salt_send_fn send;
    void *arg;
    struct list waiting;
    size_t count;
    uint64_t last_id;
};

struct salt_question {
    struct list link;
    struct salt_opener *opener;
    struct loop_timer timer;
    uint64_t id;
    salt_opened_fn done;
    void *arg;
};

struct salt_opener *salt_opener_new(struct loop *loop, salt_send_fn send, void *arg)
{
    struct salt_opener *opener = mem_zero(sizeof *opener);
    opener->loop = loop;
    opener->send = send;
    opener->arg = arg;
    list_init(&opener->waiting);
    return opener;
}

/* Off the list, its timer stopped; its memory goes at the end of the turn. */
static void drop(struct salt_question *question)
{
    loop_timer_fini(&question->timer);
    list_remove(&question->link);
    question->opener->count--;
    loop_free_later(question->opener->loop, question);
}

void salt_opener_free(struct salt_opener **opener)
{
    if (*opener == NULL)
        return;
    for (struct list *link; (link = list_pop(&(*opener)->waiting)) != NULL;) {
        struct salt_question *question = list_item(link, struct salt_question, link);
        loop_timer_fini(&question->timer);
        free(question);
    }
    free(*opener);
    *opener = NULL;
}

static void on_deadline(void *arg)
{
    struct salt_question *question = arg;
    struct err err = ERR_INIT;
    (void)err_set(&err, ERR_UNAVAILABLE, "AUDIT_UNAVAILABLE",
                  "the audit log is not available now; try again");
    salt_opened_fn done = question->done;
    drop(question);
    done(question->arg, NULL, &err);
}

static void send_question(const struct salt_opener *opener, uint64_t id, const uint8_t *entry_id,
                          struct slice wrapped)
{
    Sluice__Internal__UnwrapSalt unwrap = SLUICE__INTERNAL__UNWRAP_SALT__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    unwrap.id = id;
    unwrap.entry_id.data = (uint8_t *)entry_id;
    unwrap.entry_id.len = UUID_BYTES;
    unwrap.wrapped.data = (uint8_t *)wrapped.data;
    unwrap.wrapped.len = wrapped.len;
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_UNWRAP_SALT;
    message.unwrap_salt = &unwrap;
    size_t len = sluice__internal__ipc_message__get_packed_size(&message);
    uint8_t *bytes = mem_zero(len);
    (void)sluice__internal__ipc_message__pack(&message, bytes);
    opener->send(opener->arg, bytes, len);
    free(bytes);
}

struct salt_question *salt_opener_ask(struct salt_opener *opener, const uint8_t *entry_id,
                                      struct slice wrapped, int64_t deadline_us,
                                      salt_opened_fn done, void *arg, struct err *err)
{
    if (opener->count == SALT_QUESTIONS_MAX || wrapped.len != SALT_WRAPPED_BYTES) {
        if (wrapped.len != SALT_WRAPPED_BYTES)
            (void)err_set(err, ERR_DATA_LOSS, "SALT_DAMAGED", "the entry's salt is damaged");
        else
            (void)err_set(err, ERR_RESOURCE_EXHAUSTED, "SALT_BUSY",
                          "too many salts are being opened; try again");
        return NULL;
    }
    struct salt_question *question = mem_zero(sizeof *question);
    int64_t delay_us = deadline_us - loop_now_us(opener->loop);
    question->opener = opener;
    question->id = ++opener->last_id;
    question->done = done;
    question->arg = arg;
    list_append(&opener->waiting, &question->link);
    opener->count++;
    loop_timer_init(&question->timer, opener->loop, on_deadline, question);
    loop_timer_start_us(&question->timer, delay_us > 0 ? delay_us : 0);
    send_question(opener, question->id, entry_id, wrapped);
    return question;
}

void salt_question_cancel(struct salt_question **question)
{
    struct salt_question *q = *question;
    *question = NULL;
    if (q != NULL)
        drop(q);
}

void salt_opener_on_message(struct salt_opener *opener,
                            const Sluice__Internal__SaltUnwrapped *message)
{
    list_for_each(link, &opener->waiting)
    {
        struct salt_question *question = list_item(link, struct salt_question, link);
        if (question->id != message->id)
            continue;
        struct err err = ERR_INIT;
        bool good = message->salt.len == SALT_BYTES;
        if (!good)
            (void)err_set(&err, ERR_DATA_LOSS, "SALT_DAMAGED", "the entry's salt is damaged");
        drop(question);
        question->done(question->arg, good ? message->salt.data : NULL, good ? NULL : &err);
        if (good)
            salt_wipe(message->salt.data);
        return;
    }
}
