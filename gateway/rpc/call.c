#include "rpc/call.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "rpc/internal.h"

/* A peer that does not take its answer must not hold our memory for the life of its connection. */
enum { ANSWER_TAKE_MS = 60000 };

static void run_steps(struct call *call);
static void finish(struct call *call, bool delivered);

static void set_phase(struct call *call, enum call_phase phase)
{
    static const char *const names[] = { "receiving", "running", "closing", "answered", "done" };
    log_event(LOG_DEBUG, &call->log, "call_phase", LOG_STR("from", names[call->phase]),
              LOG_STR("to", names[phase]));
    call->phase = phase;
}

static void on_deadline(void *arg)
{
    struct call *call = arg;
    if (call->own_time_limit)
        call_cancel(call, ERR_UNAVAILABLE, "STREAM_TIME_LIMIT",
                    "the stream reached its time limit; go on with the last resume token");
    else
        call_cancel(call, ERR_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED",
                    "the call took longer than its deadline");
}

static void on_resume(void *arg)
{
    struct call *call = arg;
    call->resume_pending = false;
    run_steps(call);
}

struct call *call_new(struct rpc_server *server, struct h2_stream *stream)
{
    struct arena arena;
    arena_init(&arena);
    struct call *call = arena_alloc(&arena, sizeof *call);
    call->arena = arena;
    call->server = server;
    call->stream = stream;
    call->context = server->options.context;
    call->officers_port = server->options.listener == RPC_OFFICERS;
    call->started_us = loop_now_us(server->loop);
    call->deadline_us = call->started_us + server->options.deadline_default_ms * 1000;
    uuid7_make(call->exchange_id);
    uuid_format(call->exchange_id, call->request_id);
    call->log =
        (struct log_context){ .request_id = call->request_id, .subject = call->identity.subject };
    /* Body and answer are bounded one frame above the largest message. */
    buf_init_large(&call->body, server->options.request_bytes_max + 5 + H2_WINDOW_STREAM_BYTES);
    buf_init_large(&call->response, SIZE_MAX / 4);
    loop_timer_init(&call->deadline, server->loop, on_deadline, call);
    loop_task_init(&call->resume, on_resume, call);
    list_append(&server->calls, &call->link);
    server->call_count++;
    h2_stream_set_data(stream, call);
    return call;
}

static void destroy(void *object)
{
    struct call *call = object;
    struct arena arena = call->arena;
    buf_fini(&call->body);
    buf_fini(&call->response);
    arena_fini(&arena); /* the call itself lies in it */
}

void call_start(struct call *call)
{
    set_phase(call, CALL_RUNNING);
    call->step = 0;
    call->waiting = false;
    call_resume(call);
}

static void succeed(struct call *call)
{
    err_clear(&call->err);
    if (call->no_answer) {
        (void)call_no_memory(&call->err);
        call_fail(call);
        return;
    }
    if (call->method->kind == RPC_UNARY &&
        rpc_write_message(call, call->response.data, call->response.len, &call->err) < 0) {
        call_fail(call);
        return;
    }
    set_phase(call, CALL_ANSWERED);
    loop_timer_start(&call->deadline, ANSWER_TAKE_MS);
    rpc_write_end(call);
}

static void close_failed(struct call *call)
{
    set_phase(call, CALL_ANSWERED);
    loop_timer_start(&call->deadline, ANSWER_TAKE_MS);
    if (call->err.code == ERR_INTERNAL || call->err.code == ERR_UNKNOWN)
        log_error(LOG_ERROR, &call->log, "call_failed", &call->err);
    else
        log_error(LOG_INFO, &call->log, "call_refused", &call->err);
    if (call->stream != NULL)
        rpc_write_end(call);
    else
        finish(call, false);
}

void call_fail(struct call *call)
{
    if (call->phase >= CALL_CLOSING)
        return;
    set_phase(call, CALL_CLOSING);
    assert(call->err.code != ERR_OK);
    if (call->method != NULL && call->state != NULL && call->method->outcome != NULL) {
        call->waiting = false;
        enum step_result result = call->method->outcome(call);
        if (result == STEP_WAIT) {
            call->waiting = true;
            return;
        }
    }
    close_failed(call);
}

/* One step after the other until one waits, fails or none is left. */
static void run_steps(struct call *call)
{
    if (call->phase == CALL_CLOSING) {
        close_failed(call);
        return;
    }
    while (call->phase == CALL_RUNNING) {
        const struct step *step = &call->method->steps[call->step];
        if (step->name == NULL) {
            succeed(call);
            return;
        }
        enum step_result result;
        if (call->waiting)
            result = step->resumed != NULL ? step->resumed(call) : STEP_NEXT;
        else
            result = step->run(call);
        switch (result) {
        case STEP_NEXT:
            call->waiting = false;
            call->step++;
            break;
        case STEP_WAIT:
            call->waiting = true;
            return;
        case STEP_FAIL:
            call_fail(call);
            return;
        }
    }
}

void call_resume(struct call *call)
{
    if (call->phase == CALL_RUNNING || call->phase == CALL_CLOSING) {
        call->resume_pending = true;
        loop_task_post(call->server->loop, &call->resume);
    }
}

void call_cancel(struct call *call, enum err_code code, const char *reason, const char *text)
{
    if (call->phase >= CALL_CLOSING && call->phase != CALL_ANSWERED)
        return;
    loop_task_cancel(&call->resume);
    (void)err_set(&call->err, code, reason, "%s", text);
    if (call->phase == CALL_ANSWERED) {
        /* The answer is queued but not handed over: it must not leave any more. */
        if (call->stream != NULL) {
            h2_stream_discard(call->stream);
            h2_stream_reset(call->stream, 8 /* CANCEL */);
        }
        return;
    }
    if (call->stream != NULL && call->headers_sent)
        h2_stream_discard(call->stream);
    call_fail(call);
}

void rpc_body_taken(struct call *call)
{
    call->server->body_bytes -= call->body_accounted;
    call->body_accounted = 0;
}

static void finish(struct call *call, bool delivered)
{
    if (call->phase == CALL_DONE)
        return;
    rpc_body_taken(call);
    set_phase(call, CALL_DONE);
    struct rpc_server *server = call->server;
    server->stats.calls_by_status[err_grpc_status(call->err.code)]++;
    if (call->method != NULL && call->state != NULL && call->method->finish != NULL)
        call->method->finish(call, delivered);
    log_event(LOG_DEBUG, &call->log, "call_done", LOG_STR("code", err_name(call->err.code)),
              LOG_INT("duration_us", loop_now_us(server->loop) - call->started_us));
    loop_task_cancel(&call->resume);
    loop_timer_fini(&call->deadline);
    list_remove(&call->link);
    server->call_count--;
    loop_destroy_later(server->loop, destroy, call);
}

void call_peer_gone(struct call *call, bool delivered)
{
    call->stream = NULL;
    switch (call->phase) {
    case CALL_RECEIVING:
    case CALL_RUNNING:
        loop_task_cancel(&call->resume);
        (void)err_set(&call->err, ERR_CANCELLED, "CALLER_CANCELLED", "the caller went away");
        if (call->phase == CALL_RECEIVING)
            finish(call, false);
        else
            call_fail(call); /* finishes once its outcome is recorded */
        break;
    case CALL_CLOSING:
        break;
    case CALL_ANSWERED:
        finish(call, delivered);
        break;
    case CALL_DONE:
        break;
    }
}

int call_answer(struct call *call, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    buf_reset(&call->response);
    call->no_answer = buf_reserve(&call->response, size) < 0;
    if (call->no_answer)
        return call_no_memory(&call->err);
    call->response.len = protobuf_c_message_pack(message, call->response.data);
    return 0;
}

int call_send(struct call *call, const uint8_t *data, size_t len)
{
    if (call->stream == NULL || call->phase != CALL_RUNNING)
        return -1;
    call->messages_sent++;
    return rpc_write_message(call, data, len, &call->err);
}

size_t call_unsent(const struct call *call)
{
    return call->stream != NULL ? h2_stream_unsent(call->stream) : 0;
}

void call_trailer(struct call *call, const char *name, const char *value)
{
    assert(call->trailer_count < CALL_TRAILERS_MAX);
    call->trailers[call->trailer_count].name = name;
    call->trailers[call->trailer_count].value = arena_strdup(&call->arena, value);
    call->trailer_count++;
}

int call_set_request_id(struct call *call, const char *text, struct err *err)
{
    size_t len = strlen(text);
    if (len == 0)
        return 0;
    if (len >= CALL_REQUEST_ID_BYTES)
        return err_set(err, ERR_INVALID_ARGUMENT, "REQUEST_ID_INVALID",
                       "request_id may have at most %d characters", CALL_REQUEST_ID_BYTES - 1);
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x21 || text[i] > 0x7E)
            return err_set(err, ERR_INVALID_ARGUMENT, "REQUEST_ID_INVALID",
                           "request_id may only have printable ASCII characters without blanks");
    memcpy(call->request_id, text, len + 1);
    return 0;
}
