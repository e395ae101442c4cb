#include <stdlib.h>

#include "conf/conf.h"

#define MAIN(field_)   .offset = offsetof(struct conf, field_)
#define SOURCE(field_) .offset = offsetof(struct conf_source, field_)
#define TARGET(field_) .offset = offsetof(struct conf_target, field_)

/* "" as a default means: leave it out. */
static const struct conf_option options[] = {
    { "instance", CONF_STRING, MAIN(instance), 1, 64, "", NULL, NULL, false,
      "Name of this gateway; stands in every audit entry.", "本网关的名称，写入每条审计记录。" },
    { "trust_domain", CONF_STRING, MAIN(trust_domain), 1, 200, "", NULL, NULL, false,
      "SPIFFE trust domain; certificates of other domains are refused.",
      "SPIFFE 信任域；其他域的证书一律拒绝。" },
    { "workers", CONF_INT, MAIN(workers), 1, CONF_WORKERS_MAX, "processes", "2", NULL, false,
      "Worker processes. One per core is a good start.", "工作进程数，建议与核数相同。" },

    { "listen.systems", CONF_ADDRESS, MAIN(listen_systems), 0, 0, "", NULL, NULL, false,
      "Address and port for department systems (gRPC and Connect over mutual TLS).",
      "业务系统端口（双向 TLS 上的 gRPC 与 Connect）。" },
    { "listen.officers", CONF_ADDRESS, MAIN(listen_officers), 0, 0, "", NULL, NULL, false,
      "Address and port for data officers.", "数据专员端口。" },
    { "listen.ops", CONF_ADDRESS, MAIN(listen_ops), 0, 0, "", "127.0.0.1:9443", NULL, false,
      "Loopback address for /healthz, /readyz and /metrics (plain HTTP/1.1).",
      "运维端口（仅限本机）：/healthz、/readyz、/metrics。" },

    { "tls.certificate", CONF_FILE, MAIN(tls_certificate), 0, 0, "", NULL, NULL, false,
      "Server certificate chain, PEM, leaf first.", "服务器证书链（PEM）。" },
    { "tls.key", CONF_FILE, MAIN(tls_key), 0, 0, "", NULL, NULL, false,
      "Private key, PEM, not readable by others.", "私钥（PEM），他人不可读。" },
    { "tls.client_ca", CONF_FILE, MAIN(tls_client_ca), 0, 0, "", NULL, NULL, false,
      "Certificate authorities that sign clients, PEM.", "签发客户端证书的 CA（PEM）。" },
    { "tls.crl", CONF_FILE, MAIN(tls_crl), 0, 0, "", "", NULL, false,
      "Certificate revocation list, PEM. A new one counts within seconds, without a reload.",
      "证书吊销列表（PEM）；更新后数秒内生效，无需重新加载。" },
    { "tls.allow_tls12", CONF_BOOL, MAIN(tls_allow_tls12), 0, 0, "", "false", NULL, false,
      "Also accept TLS 1.2 with AEAD suites.", "是否同时接受 TLS 1.2（仅 AEAD 套件）。" },

    { "control.database", CONF_STRING, MAIN(control_database), 1, 4096, "", NULL, NULL, true,
      "Control database, libpq connection string, login in role sluice_worker.",
      "控制数据库连接串（sluice_worker 角色成员）。" },

    { "audit.enabled", CONF_BOOL, MAIN(audit_enabled), 0, 0, "", "true", NULL, false,
      "Only benchmarks turn this off; the gateway then warns at every start.",
      "仅基准测试可关闭，关闭时每次启动都会告警。" },
    { "audit.database", CONF_STRING, MAIN(audit_database), 1, 4096, "", NULL, NULL, true,
      "Audit store, libpq connection string, login in role sluice_auditor.",
      "审计库连接串（sluice_auditor 角色成员）。" },
    { "audit.origin", CONF_STRING, MAIN(audit_origin), 1, 200, "", NULL, NULL, false,
      "Origin line of the log's checkpoints; never changes for one log.",
      "审计日志检查点的 origin 行，一个日志永不更改。" },
    { "audit.signing_key", CONF_FILE, MAIN(audit_signing_key), 0, 0, "", NULL, NULL, false,
      "Ed25519 private key that signs checkpoints, PEM; read by the auditor only.",
      "签署检查点的 Ed25519 私钥（PEM），仅审计进程读取。" },
    { "audit.sm2_key", CONF_FILE, MAIN(audit_sm2_key), 0, 0, "", "", NULL, false,
      "SM2 private key for a second SM2-SM3 signature line, PEM.",
      "用于第二条 SM2-SM3 签名行的 SM2 私钥（PEM）。" },
    { "audit.salt_key", CONF_FILE, MAIN(audit_salt_key), 0, 0, "", NULL, NULL, false,
      "32-byte key of the officers' group that wraps entry salts.",
      "封装记录盐值的 32 字节密钥（专员组持有）。" },
    { "audit.person_key", CONF_FILE, MAIN(audit_person_key), 0, 0, "", NULL, NULL, false,
      "32-byte key of the person index.", "人员索引的 32 字节密钥。" },
    { "audit.checkpoint_file", CONF_FILE, MAIN(audit_checkpoint_file), 0, 0, "", NULL, NULL, false,
      "Where the auditor keeps its last signed checkpoint.", "审计进程保存最近签署检查点的文件。" },
    { "audit.usage_days", CONF_INT, MAIN(audit_usage_days), CONF_USAGE_DAYS_MIN, CONF_DAYS_MAX,
      "days", "1096", NULL, false,
      "How long entries, which are records of use, are kept; the law asks for three years.",
      "使用记录（审计条目）的保存天数；法定不少于三年。" },
    { "audit.network_days", CONF_INT, MAIN(audit_network_days), CONF_NETWORK_DAYS_MIN,
      CONF_DAYS_MAX, "days", "183", NULL, false,
      "How long entries that only tell of refusals are kept; the law asks for six months.",
      "仅记录拒绝访问的网络日志的保存天数；法定不少于六个月。" },

    { "token_key", CONF_FILE, MAIN(token_key), 0, 0, "", NULL, NULL, false,
      "32-byte key that seals page and resume tokens; equal on all gateways.",
      "加密分页与续传令牌的 32 字节密钥，各网关相同。" },
    { "mask_key", CONF_FILE, MAIN(mask_key), 0, 0, "", "", NULL, false,
      "32-byte key of agreements' hash masks; equal on all gateways, and never lost.",
      "协议散列脱敏所用的 32 字节密钥，各网关相同，不可丢失。" },
    { "schemas.from", CONF_CHOICE, MAIN(schemas_from), 0, 0, "", "files", "files control", false,
      "Where the schema bundle comes from: the files below, or the one approved in the control "
      "database.",
      "模式包的来源：下列文件，或控制数据库中已批准的版本。" },
    { "schemas.directory", CONF_FILE, MAIN(schemas_directory), 0, 0, "", "", NULL, false,
      "Folder with departments/ and codes/; needed with from: files.",
      "含 departments/ 与 codes/ 的目录；from: files 时必填。" },
    { "schemas.descriptors", CONF_FILE, MAIN(schemas_descriptors), 0, 0, "", "", NULL, false,
      "Descriptor set of the canonical types; needed with from: files.",
      "标准类型的描述符集文件；from: files 时必填。" },
    { "schemas.single_officer", CONF_BOOL, MAIN(schemas_single_officer), 0, 0, "", "false", NULL,
      false,
      "Lets an officer approve the bundle that the same officer published, where the control "
      "database's control.schema_policy allows it too.",
      "允许专员批准自己发布的模式包；控制数据库的 control.schema_policy 也须允许。" },

    { "limits.connection_age_max_ms", CONF_INT, MAIN(connection_age_max_ms), 1000, 86400000, "ms",
      "3600000", NULL, false, "A connection is asked to go after this long, +- 10 %.",
      "连接最长存活时间（±10%）。" },
    { "limits.connections_max", CONF_INT, MAIN(connections_max), 1, 100000, "connections", "4096",
      NULL, false, "Connections one worker holds.", "单个工作进程的最大连接数。" },
    { "limits.request_bytes_max", CONF_INT, MAIN(request_bytes_max), 1024, 16777216, "bytes",
      "1048576", NULL, false, "Largest request message.", "请求消息最大字节数。" },
    { "limits.deadline_default_ms", CONF_INT, MAIN(deadline_default_ms), 10, 600000, "ms", "10000",
      NULL, false, "Deadline of a unary call that names none.",
      "未指定超时的单次调用的默认期限。" },
    { "limits.deadline_max_ms", CONF_INT, MAIN(deadline_max_ms), 10, 3600000, "ms", "60000", NULL,
      false, "Longest deadline of a unary call.", "单次调用的最长期限。" },
    { "limits.stream_seconds_max", CONF_INT, MAIN(stream_seconds_max), 1, 3600, "s", "600", NULL,
      false, "A stream ends with a resume token after this long.",
      "流式查询最长时间，到期给出续传令牌。" },
    { "limits.streams_per_source", CONF_INT, MAIN(streams_per_source), 1, 1000, "streams", "8",
      NULL, false, "Streams one worker runs on one source at a time.",
      "单个工作进程对同一来源的并发流数。" },
    { "limits.drain_ms", CONF_INT, MAIN(drain_ms), 100, 3600000, "ms", "30000", NULL, false,
      "How long SIGTERM lets calls finish.", "收到 SIGTERM 后等待在途调用的时间。" },
    { "limits.lookup_timeout_ms", CONF_INT, MAIN(lookup_timeout_ms), 10, 60000, "ms", "250", NULL,
      false, "statement_timeout of lookups in a source.", "来源库中查询语句的超时。" },

    { "log.level", CONF_CHOICE, MAIN(log_level), 0, 0, "", "info", "debug info warn error", false,
      "Least severe line that is written.", "日志级别。" },
    { "log.format", CONF_CHOICE, MAIN(log_format), 0, 0, "", "logfmt", "logfmt json", false,
      "Form of log lines.", "日志格式。" },

    { "sources[].name", CONF_STRING, SOURCE(name), 1, 64, "", NULL, NULL, false,
      "Name that mappings refer to.", "映射文件引用的来源名。" },
    { "sources[].database", CONF_STRING, SOURCE(database), 1, 4096, "", NULL, NULL, true,
      "The department's database, libpq connection string, a role that may only read.",
      "部门数据库连接串（只读角色）。" },
    { "sources[].shared_connections", CONF_INT, SOURCE(shared_connections), 1, 64, "connections",
      "2", NULL, false, "Pipelined connections for lookups, per worker.",
      "每个工作进程用于查找的管道连接数。" },
    { "sources[].leased_connections", CONF_INT, SOURCE(leased_connections), 1, 64, "connections",
      "8", NULL, false,
      "Connections for streams, per worker. Twice the workers times all connections of one (these, "
      "the shared ones and one more) must fit the limits of the role, the database and the server.",
      "每个工作进程用于流式查询的连接数。" },

    { "targets[].name", CONF_STRING, TARGET(name), 1, 64, "", NULL, NULL, false,
      "Name of a source whose tables transfers may fill; with one target or more the gateway runs "
      "a "
      "mover.",
      "可写入其表的来源名；配置后网关运行搬运进程。" },
    { "targets[].database", CONF_STRING, TARGET(database), 1, 4096, "", NULL, NULL, true,
      "The same department's database, libpq connection string, a role that may write the tables "
      "and "
      "owns the schema sluice there.",
      "同一部门数据库连接串（可写入目标表且拥有 sluice 模式的角色）。" },
};

const struct conf_option *conf_option_at(size_t index)
{
    return index < sizeof options / sizeof options[0] ? &options[index] : NULL;
}
