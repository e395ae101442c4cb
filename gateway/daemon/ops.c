#include "daemon/ops.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/loop.h"

enum {
    OPS_REQUEST_BYTES_MAX = 8192,
    OPS_ANSWER_BYTES_MAX = 4 * 1024 * 1024,
    OPS_TIMEOUT_S = 5,
};

struct ops {
    struct evhttp *http;
    struct evhttp_bound_socket *socket;
    const struct ops_handlers *handlers;
    void *arg;
};

static void answer(struct evhttp_request *request, int status, const char *type,
                   const struct buf *body)
{
    struct evbuffer *out = evbuffer_new();
    if (out == NULL)
        abort();
    (void)evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
    (void)evhttp_add_header(evhttp_request_get_output_headers(request), "Cache-Control",
                            "no-store");
    (void)evbuffer_add(out, body->data, body->len);
    evhttp_send_reply(request, status, NULL, out);
    evbuffer_free(out);
}

static void on_healthz(struct evhttp_request *request, void *arg)
{
    (void)arg;
    struct buf body;
    buf_init(&body, OPS_ANSWER_BYTES_MAX);
    (void)buf_append_str(&body, "ok\n");
    answer(request, 200, "text/plain; charset=utf-8", &body);
    buf_fini(&body);
}

static void on_readyz(struct evhttp_request *request, void *arg)
{
    struct ops *ops = arg;
    struct buf body;
    buf_init(&body, OPS_ANSWER_BYTES_MAX);
    bool ready = ops->handlers->readiness(ops->arg, &body);
    answer(request, ready ? 200 : 503, "application/json", &body);
    buf_fini(&body);
}

static void on_metrics(struct evhttp_request *request, void *arg)
{
    struct ops *ops = arg;
    struct buf body;
    buf_init(&body, OPS_ANSWER_BYTES_MAX);
    ops->handlers->metrics(ops->arg, &body);
    answer(request, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    buf_fini(&body);
}

struct ops *ops_new(struct loop *loop, int listen_fd, const struct ops_handlers *handlers,
                    void *arg)
{
    struct ops *ops = mem_zero(sizeof *ops);
    ops->handlers = handlers;
    ops->arg = arg;
    ops->http = evhttp_new(loop_event_base(loop));
    if (ops->http == NULL)
        abort();
    evhttp_set_allowed_methods(ops->http, EVHTTP_REQ_GET);
    evhttp_set_max_headers_size(ops->http, OPS_REQUEST_BYTES_MAX);
    evhttp_set_max_body_size(ops->http, OPS_REQUEST_BYTES_MAX);
    evhttp_set_timeout(ops->http, OPS_TIMEOUT_S);
    (void)evhttp_set_cb(ops->http, "/healthz", on_healthz, ops);
    (void)evhttp_set_cb(ops->http, "/readyz", on_readyz, ops);
    (void)evhttp_set_cb(ops->http, "/metrics", on_metrics, ops);
    ops->socket = evhttp_accept_socket_with_handle(ops->http, listen_fd);
    return ops;
}

void ops_free(struct ops **ops)
{
    if (*ops == NULL)
        return;
    evhttp_free((*ops)->http); /* closes this process's duplicate of the socket */
    free(*ops);
    *ops = NULL;
}
