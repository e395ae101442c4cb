#include "daemon/process.h"

#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "net/ipc.h"
#include "schema/bundle.h"

void process_configure_log(const struct conf *conf, const char *process)
{
    static const char *const levels[] = { "debug", "info", "warn", "error" };
    enum log_level level = LOG_INFO;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (strcmp(conf->log_level, levels[i]) == 0)
            level = (enum log_level)i;
    log_configure(level, strcmp(conf->log_format, "json") == 0 ? LOG_JSON : LOG_LOGFMT, process);
}

void process_report(struct ipc *master, const char *failure, const uint8_t *schema)
{
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    Sluice__Internal__Ready ready = SLUICE__INTERNAL__READY__INIT;
    Sluice__Internal__Failed failed = SLUICE__INTERNAL__FAILED__INIT;
    ProtobufCBinaryData digest = { .len = schema != NULL ? SCHEMA_DIGEST_BYTES : 0,
                                   .data = (uint8_t *)(uintptr_t)schema };
    if (failure == NULL) {
        message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_READY;
        message.ready = &ready;
        ready.schema_digest = digest;
    } else {
        message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_FAILED;
        failed.text = (char *)failure;
        failed.schema_digest = digest;
        message.failed = &failed;
    }
    ipc_send(master, &message);
    ipc_flush_blocking(master);
}

void process_ending(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

void process_send_stats(struct ipc *master, const struct buf *text)
{
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    Sluice__Internal__Stats stats = SLUICE__INTERNAL__STATS__INIT;
    stats.text.data = text->data;
    stats.text.len = text->len;
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_STATS;
    message.stats = &stats;
    ipc_send(master, &message);
}
