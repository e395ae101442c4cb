#include "cli/messages.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/text.h"

enum { MESSAGE_BYTES_MAX = 1024 * 1024 };

/* clang-format off */
static const char *const texts[MSG_COUNT][LANGUAGE_COUNT] = {
    [MSG_NONE] = { "", "" },

    /* usage */
    [MSG_USAGE_COMMAND] = { "there is no command \"%s\"", "没有命令“%s”" },
    [MSG_USAGE_COMMAND_NEAR] = {
      "there is no command \"%s\"; did you mean \"%s\"?",
      "没有命令“%s”；是不是“%s”？" },
    [MSG_USAGE_OPTION] = { "there is no option %s", "没有选项 %s" },
    [MSG_USAGE_OPTION_NEAR] = { "there is no option %s; did you mean --%s?", "没有选项 %s；是不是 --%s？" },
    [MSG_USAGE_FOREIGN_OPTION] = { "this command does not take --%s", "该命令不接受 --%s" },
    [MSG_USAGE_FLAG_VALUE] = { "--%s takes no value", "--%s 不带值" },
    [MSG_USAGE_NO_VALUE] = { "--%s needs a value", "--%s 需要一个值" },
    [MSG_USAGE_REQUIRED] = { "--%s is missing", "缺少 --%s" },
    [MSG_USAGE_NUMBER] = {
      "--%s must be a whole number from %s to %s, not \"%s\"",
      "--%s 须为 %s 至 %s 之间的整数，不能是“%s”" },
    [MSG_USAGE_DECIMAL] = {
      "--%s must be a number from 0, not \"%s\"",
      "--%s 须为不小于 0 的数，不能是“%s”" },
    [MSG_USAGE_LIST] = {
      "%s must be names separated by commas, none of them empty",
      "%s 须为以逗号分隔的名称，且不得有空项" },
    [MSG_USAGE_MODE] = {
      "\"%s\" is no mode; the modes are lookup and query",
      "“%s”不是使用方式；可用 lookup、query" },
    [MSG_USAGE_VALIDITY] = {
      "say until when: either --valid-until DATE or --days N",
      "请写明有效期：--valid-until DATE 或 --days N，二选一" },
    [MSG_USAGE_DATE] = {
      "\"%s\" is no date; write 2027-12-31 or 2027-12-31T18:00:00+08:00",
      "“%s”不是日期；请写 2027-12-31 或 2027-12-31T18:00:00+08:00" },
    [MSG_USAGE_FORMAT] = {
      "\"%s\" is no format; choose table, json, jsonl or csv",
      "“%s”不是输出格式；可选 table、json、jsonl、csv" },
    [MSG_USAGE_FOLLOW_JSON] = {
      "a JSON array never ends with --follow; choose jsonl",
      "--follow 时 JSON 数组不会结束；请用 jsonl" },
    [MSG_USAGE_LANG] = {
      "\"%s\" is no language of this command; choose en or zh",
      "没有语言“%s”；可选 en、zh" },
    [MSG_USAGE_SHELL] = {
      "there is a completion for bash and for zsh, not for \"%s\"",
      "只有 bash 和 zsh 的补全，没有“%s”的" },
    [MSG_USAGE_TOO_FEW] = { "something is missing; this command takes %s", "参数不足；该命令需要 %s" },
    [MSG_USAGE_TOO_MANY] = {
      "\"%s\" is one word too many; quote texts that have spaces",
      "多了参数“%s”；含空格的文字请加引号" },
    [MSG_USAGE_UTF8] = { "\"%s\" is not UTF-8 text", "“%s”不是 UTF-8 文本" },
    [MSG_USAGE_DEPARTMENT] = {
      "\"%s\" is no department name: a-z first, then a-z 0-9 and -, at most 63",
      "“%s”不能作部门名：以 a-z 开头，其后为 a-z 0-9 或 -，至多 63 个字符" },
    [MSG_USAGE_OFFICER] = {
      "\"%s\" is no officer; write DEPARTMENT/NAME, for example civil-affairs/li.na",
      "“%s”不是专员；请写 部门/姓名，例如 civil-affairs/li.na" },
    [MSG_SEE_HELP] = { "See: sluice --help", "请看：sluice --help" },
    [MSG_SEE_COMMAND_HELP] = { "See: sluice %s%s%s --help", "请看：sluice %s%s%s --help" },

    /* connection */
    [MSG_NO_ENDPOINT] = {
      "which gateway? Set SLUICE_ENDPOINT or give --endpoint HOST:PORT",
      "未指明网关：请设置 SLUICE_ENDPOINT 或给出 --endpoint HOST:PORT" },
    [MSG_NO_CA] = {
      "which authority signed the gateway's certificate? Set SLUICE_CA or give --ca FILE",
      "未指明网关证书的签发机构：请设置 SLUICE_CA 或给出 --ca FILE" },
    [MSG_NO_CERT] = {
      "no client certificate: set SLUICE_CERT and SLUICE_KEY, or give --cert and --key",
      "没有客户端证书：请设置 SLUICE_CERT 和 SLUICE_KEY，或给出 --cert 和 --key" },
    [MSG_NO_OFFICER_CERT] = {
      "no officer certificate: set SLUICE_OFFICER_CERT and SLUICE_OFFICER_KEY, or give --cert and --key",
      "没有专员证书：请设置 SLUICE_OFFICER_CERT 和 SLUICE_OFFICER_KEY，或给出 --cert 和 --key" },
    [MSG_ENDPOINT_SCHEME] = {
      "the gateway speaks TLS only: write HOST:PORT or https://HOST:PORT",
      "网关只用 TLS：请写 HOST:PORT 或 https://HOST:PORT" },
    [MSG_FILE_UNREADABLE] = {
      "the file %s cannot be read; check its path and its owner",
      "文件 %s 无法读取；请检查路径和属主" },
    [MSG_CURL_RESOLVE] = {
      "the host of %s is not known; check the name or the DNS (%s)",
      "无法解析 %s 的主机名；请检查名称或 DNS（%s）" },
    [MSG_CURL_CONNECT] = {
      "nothing answers at %s; is sluiced running there, and is the port right? (%s)",
      "%s 无应答；sluiced 是否在运行，端口是否正确？（%s）" },
    [MSG_CURL_TIMEOUT] = {
      "%s did not answer in time; try again, or give more with --timeout (%s)",
      "%s 未在时限内应答；请重试，或用 --timeout 放宽（%s）" },
    [MSG_CURL_CA] = {
      "the certificate of %s was not signed by the authority in --ca, or is for another name; take the CA file of this gateway (%s)",
      "%s 的证书不是 --ca 所指机构签发，或名称不符；请使用该网关的 CA 文件（%s）" },
    [MSG_CURL_CERT_FILE] = {
      "the certificate or key for %s cannot be used; check that both are PEM and belong together (%s)",
      "用于 %s 的证书或私钥不可用；请检查两者均为 PEM 且相互匹配（%s）" },
    [MSG_CURL_TLS] = {
      "no TLS 1.3 connection to %s; is this a gateway's port? (%s)",
      "无法与 %s 建立 TLS 1.3 连接；该端口是网关吗？（%s）" },
    [MSG_CURL_REFUSED_CERT] = {
      "%s refused our certificate; it may be expired, revoked or from another authority: run sluice doctor (%s)",
      "%s 拒绝了我方证书；可能已过期、已吊销或由其他机构签发：请运行 sluice doctor（%s）" },
    [MSG_CURL_URL] = { "\"%s\" is no address; write HOST:PORT (%s)", "“%s”不是地址；请写 HOST:PORT（%s）" },
    [MSG_CURL_OTHER] = { "the connection to %s failed; try again (%s)", "与 %s 的连接失败；请重试（%s）" },
    [MSG_HTTP_STATUS] = {
      "something that is no gateway answered with HTTP status %s; check the endpoint and what stands between",
      "应答者不是网关（HTTP 状态 %s）；请检查地址以及中间的代理" },
    [MSG_ANSWER_MALFORMED] = {
      "the answer cannot be understood (%s); is this a gateway of the same version?",
      "无法理解应答（%s）；网关版本是否一致？" },
    [MSG_STREAM_CUT] = {
      "the stream ended before its end; what was printed is not complete, try again",
      "数据流中断；已输出的内容不完整，请重试" },
    [MSG_RESUME_HINT] = {
      "What was printed is not complete. Continue behind it with: --resume %s --no-header",
      "已输出的内容不完整。接着往下读请加：--resume %s --no-header" },

    /* answers */
    [MSG_RECORD_WARNING] = { "warning: %s", "提示：%s" },
    [MSG_EXCHANGE_ID] = { "exchange %s", "交换编号 %s" },
    [MSG_PROGRESS] = { "%s rows, %s rows/s", "%s 行，%s 行/秒" },
    [MSG_QUERY_QUARANTINED] = {
      "%s rows are not here: they do not pass the owner's rules and are quarantined",
      "有 %s 行未输出：不符合提供方的数据规则，已隔离" },
    [MSG_UNKNOWN_COLUMN] = {
      "a record has the field %s, which is no column here; name the columns with --fields or use --format jsonl",
      "记录含有字段 %s，而输出没有这一列；请用 --fields 指明列，或用 --format jsonl" },
    [MSG_OUTPUT_FAILED] = { "the output cannot be written: %s", "无法写出结果：%s" },

    /* checks */
    [MSG_CHECK_FAILED] = { "%s [%s]", "%s [%s]" },
    [MSG_DETAIL] = { "  %s", "  %s" },
    [MSG_SCHEMA_OK] = { "ok: %s datasets, digest %s", "通过：%s 个数据集，摘要 %s" },
    [MSG_CONFIG_OK] = { "ok: %s", "通过：%s" },

    /* doctor */
    [MSG_DOCTOR_FIX] = { "fix:", "处理：" },
    [MSG_DOCTOR_GOOD] = { "Nothing stands in the way.", "一切正常。" },
    [MSG_DOCTOR_FAULTS] = { "%s checks failed.", "%s 项检查未通过。" },
    [MSG_CERT_UNREADABLE] = { "%s holds no certificate in PEM", "%s 中没有 PEM 证书" },
    [MSG_CERT_VALID] = { "valid until %s", "有效期至 %s" },
    [MSG_CERT_SOON] = { "ends soon, %s", "即将到期：%s" },
    [MSG_CERT_EXPIRED] = { "expired %s", "已于 %s 过期" },
    [MSG_CERT_NOT_YET] = { "not valid before %s", "%s 之前尚未生效" },
    [MSG_IDENTITY_NONE] = {
      "%s names nobody: it has no URI in subjectAltName",
      "%s 没有身份：subjectAltName 中没有 URI" },
    [MSG_KEY_GOOD] = { "%s belongs to the certificate", "%s 与证书匹配" },
    [MSG_KEY_MISMATCH] = {
      "%s does not belong to the certificate, or cannot be read",
      "%s 与证书不匹配，或无法读取" },
    [MSG_KEY_OPEN] = { "%s can be read by every user", "%s 可被任何用户读取" },
    [MSG_CONNECTED] = { "TLS 1.3, %s", "TLS 1.3，%s" },
    [MSG_CLOCK_GOOD] = { "agrees with the gateway's", "与网关一致" },
    [MSG_CLOCK_SKEW] = { "%s s apart from the gateway's", "与网关相差 %s 秒" },
    [MSG_CLOCK_UNKNOWN] = { "the gateway sends no Date", "网关未给出时间" },
    [MSG_HEALTH_NOT_SERVING] = { "the gateway says %s", "网关状态为 %s" },
    [MSG_READYZ_SKIPPED] = {
      "set SLUICE_OPS_ENDPOINT on the gateway's own machine to see databases and audit",
      "在网关本机设置 SLUICE_OPS_ENDPOINT 可检查数据库与审计" },
    [MSG_READYZ_STATUS] = { "answers %s", "返回 %s" },
    [MSG_READYZ_UNREACHABLE] = { "%s does not answer", "%s 无应答" },
    [MSG_FIX_CLOCK] = {
      "set this machine's clock, for example with chrony or systemd-timesyncd",
      "校准本机时钟，例如使用 chrony 或 systemd-timesyncd" },
    [MSG_FIX_CERT] = {
      "ask the operator of your department's certificates for a new one",
      "向本部门的证书管理员申请新证书" },
    [MSG_FIX_IDENTITY] = {
      "ask for a certificate with URI spiffe://<trust-domain>/dept/<dept>/system/<name>",
      "申请带有 URI spiffe://<信任域>/dept/<部门>/system/<名称> 的证书" },
    [MSG_FIX_KEY] = { "take the key that was made together with the certificate", "使用与证书一同生成的私钥" },
    [MSG_FIX_KEY_MODE] = {
      "chmod 600 the key file, so that only its owner reads it",
      "对私钥文件执行 chmod 600，只允许属主读取" },
    [MSG_FIX_CA] = {
      "take the CA file that the gateway's operator hands out",
      "使用网关运维人员发放的 CA 文件" },
    [MSG_FIX_SERVER_CERT] = {
      "tell the gateway's operator: renew the server certificate and reload sluiced",
      "请网关运维人员更新服务器证书并重新加载 sluiced" },
    [MSG_FIX_HEALTH] = {
      "try again in a minute; if it stays, ask the gateway's operator to read the log of sluiced",
      "一分钟后重试；仍不正常则请网关运维人员查看 sluiced 日志" },
    [MSG_FIX_READYZ] = {
      "on the gateway's machine: systemctl status sluiced, then the log",
      "在网关本机查看 systemctl status sluiced 及日志" },
    [MSG_FIX_DATABASE] = {
      "check that the department database runs and that sluiced's role may log in; it is retried without a restart",
      "检查部门数据库是否运行、sluiced 的角色能否登录；恢复后自动重连" },
    [MSG_FIX_CONTROL] = {
      "check the control database and run: sluice control migrate",
      "检查控制数据库，并运行：sluice control migrate" },
    [MSG_FIX_AUDIT] = {
      "no record leaves until the audit store writes again: check the audit database and its disk",
      "审计库恢复写入前不会放行任何记录：请检查审计数据库及其磁盘" },

    /* control database */
    [MSG_NO_DATABASE] = {
      "which control database? Set SLUICE_CONTROL_DATABASE or give --database CONNINFO",
      "未指明控制数据库：请设置 SLUICE_CONTROL_DATABASE 或给出 --database CONNINFO" },
    [MSG_DB_CONNECT] = { "the control database cannot be reached: %s", "无法连接控制数据库：%s" },
    [MSG_DB_ABSENT] = {
      "the control database cannot be reached: %s\n"
      "  Create what is missing first, for example: createdb sluice",
      "无法连接控制数据库：%s\n"
      "  请先创建缺少的对象，例如：createdb sluice" },
    [MSG_DB_STATEMENT] = { "the database refused: %s (SQLSTATE %s)", "数据库拒绝执行：%s（SQLSTATE %s）" },
    [MSG_DB_COMMIT] = {
      "the database did not commit, it said %s; nothing was changed, try again",
      "数据库未提交（返回 %s）；没有任何改动，请重试" },
    [MSG_DB_PRIVILEGE] = { "  Connect as the owner of the control database.", "  请以控制数据库属主身份连接。" },
    [MSG_DB_NOT_READY] = {
      "  Prepare the database first: sluice control init",
      "  请先准备数据库：sluice control init" },
    [MSG_DB_READ_ONLY] = {
      "  This is a read-only standby: connect to the primary.",
      "  这是只读备库：请连接主库。" },
    [MSG_DB_RETRY] = { "  The database is busy or restarting: try again.", "  数据库繁忙或正在重启：请重试。" },
    [MSG_ROLE_CREATED] = { "created role %s", "已创建角色 %s" },
    [MSG_ROLE_ADVICE] = {
      "  Or have a superuser run first: CREATE ROLE %s NOLOGIN",
      "  或请超级用户先执行：CREATE ROLE %s NOLOGIN" },
    [MSG_MIGRATION_APPLIED] = { "applied %s", "已执行 %s" },
    [MSG_MIGRATED] = {
      "the control database is up to date; %s migrations applied now",
      "控制数据库已是最新；本次执行 %s 个迁移" },
    [MSG_MIGRATION_MISSING] = {
      "the database has %s, which these files have not: it belongs to a newer Sluice, take its files",
      "数据库含有 %s，而本目录没有：它属于更新版本的 Sluice，请使用该版本的文件" },
    [MSG_MIGRATION_CHANGED] = {
      "%s was changed after it was applied; restore the file, and put the change into a new one",
      "%s 在执行之后被修改；请恢复原文件，把改动写入新的迁移文件" },
    [MSG_MIGRATION_LATE] = {
      "%s has a lower number than one already applied; give it the next free number",
      "%s 的编号小于已执行的迁移；请改用下一个编号" },
    [MSG_MIGRATION_FAILED] = {
      "%s failed at line %s; nothing of it was kept",
      "%s 在第 %s 行失败；未保留任何改动" },
    [MSG_MIGRATION_TRANSACTION] = {
      "%s ends the transaction itself; take COMMIT and ROLLBACK out of it",
      "%s 自行结束了事务；请去掉其中的 COMMIT 和 ROLLBACK" },
    [MSG_ADDED] = { "added %s", "已添加 %s" },
    [MSG_EXISTS] = { "%s is there already", "%s 已存在" },
    [MSG_ENABLED] = { "%s is enabled again", "%s 已重新启用" },
    [MSG_DISABLED] = {
      "%s was disabled; add --enable to let it take part again",
      "%s 已停用；如需重新启用请加 --enable" },
    [MSG_NO_DEPARTMENT] = {
      "there is no department %s; add it first: sluice department add",
      "没有部门 %s；请先添加：sluice department add" },
    [MSG_NO_OFFICER] = { "there is no officer %s", "没有专员 %s" },
    [MSG_OFFICER_DISABLED] = {
      "%s is disabled; open connections are refused at their next call",
      "%s 已停用；现有连接的下一次调用即被拒绝" },
    [MSG_OFFICER_URI] = {
      "the certificate needs the URI spiffe://<trust-domain>/dept/%s/officer/%s",
      "其证书须带 URI spiffe://<信任域>/dept/%s/officer/%s" },

    /* what a Connect code means, when no reason says more */
    [MSG_CODE_CANCELED] = { "the call was cancelled", "调用已取消" },
    [MSG_CODE_UNKNOWN] = {
      "the gateway could not say what went wrong; ask its operator with the time of this call",
      "网关未能说明原因；请将调用时间告知网关运维人员" },
    [MSG_CODE_INVALID_ARGUMENT] = { "the request is not valid", "请求无效" },
    [MSG_CODE_DEADLINE_EXCEEDED] = {
      "no answer within the time limit; try again or give more with --timeout",
      "未在时限内得到应答；请重试或用 --timeout 放宽" },
    [MSG_CODE_NOT_FOUND] = { "not found", "未找到" },
    [MSG_CODE_ALREADY_EXISTS] = { "it exists already", "已存在" },
    [MSG_CODE_PERMISSION_DENIED] = { "not permitted", "无权执行" },
    [MSG_CODE_RESOURCE_EXHAUSTED] = { "a limit is reached; try again later", "已达上限；请稍后重试" },
    [MSG_CODE_FAILED_PRECONDITION] = { "not possible in the present state", "当前状态下无法执行" },
    [MSG_CODE_ABORTED] = { "the call collided with another; try again", "与其他调用冲突；请重试" },
    [MSG_CODE_UNIMPLEMENTED] = {
      "this gateway does not offer that call here; is it the right port?",
      "该端口不提供此调用；端口是否正确？" },
    [MSG_CODE_INTERNAL] = {
      "an error inside the gateway; ask its operator with the time of this call",
      "网关内部错误；请将调用时间告知网关运维人员" },
    [MSG_CODE_UNAVAILABLE] = { "not available now; try again", "暂不可用；请重试" },
    [MSG_CODE_DATA_LOSS] = { "the stored data cannot be handed out", "存储的数据无法交付" },
    [MSG_CODE_UNAUTHENTICATED] = {
      "the gateway does not know this certificate; run: sluice doctor",
      "网关不认可该证书；请运行：sluice doctor" },

    /* options */
    [MSG_OPT_ENDPOINT] = { "the gateway (SLUICE_ENDPOINT)", "网关地址（SLUICE_ENDPOINT）" },
    [MSG_OPT_CA] = {
      "authority of the gateway's certificate (SLUICE_CA)",
      "网关证书的签发机构（SLUICE_CA）" },
    [MSG_OPT_CERT] = { "our certificate (SLUICE_CERT)", "我方证书（SLUICE_CERT）" },
    [MSG_OPT_KEY] = { "its private key (SLUICE_KEY)", "证书私钥（SLUICE_KEY）" },
    [MSG_OPT_FORMAT] = { "table (default), json, jsonl or csv", "输出格式：table（默认）、json、jsonl、csv" },
    [MSG_OPT_TIMEOUT] = {
      "of a call, 1 to 3600; default 30, streams none",
      "调用时限（秒），1 至 3600；默认 30，流式不限" },
    [MSG_OPT_LANG] = { "en or zh; default from LANG", "语言 en 或 zh；默认取自 LANG" },
    [MSG_OPT_HELP] = { "this help, also behind every command", "显示帮助，可加在任何命令之后" },
    [MSG_OPT_PURPOSE] = { "purpose code that the agreement lists", "协议所列的用途代码" },
    [MSG_OPT_AGREEMENT] = { "agreement id; needed when several match", "协议编号；有多个匹配时必填" },
    [MSG_OPT_FIELDS] = { "canonical field names, separated by commas", "字段的规范名称，逗号分隔" },
    [MSG_OPT_FILTER] = { "AIP-160, for example: level = TOWN", "筛选条件（AIP-160），例如：level = TOWN" },
    [MSG_OPT_LIMIT] = { "stop after so many rows", "至多返回的行数" },
    [MSG_OPT_PAGE_SIZE] = { "fetch page by page, 1 to 10000 rows", "分页读取，每页 1 至 10000 行" },
    [MSG_OPT_RESUME] = { "continue a stream that was cut", "从中断处继续" },
    [MSG_OPT_STRICT] = { "exit with 6 when rows were quarantined", "有隔离行时以 6 退出" },
    [MSG_OPT_CSV_RAW] = { "no apostrophe before = + - @ in CSV text", "CSV 文本单元格的 = + - @ 前不加撇号" },
    [MSG_OPT_NO_HEADER] = { "no header line in CSV", "CSV 不写表头" },
    [MSG_OPT_CONSUMER] = { "who may read; DEPT/* for every system", "使用方；DEPT/* 表示该部门所有系统" },
    [MSG_OPT_DATASET] = { "the dataset", "数据集" },
    [MSG_OPT_PURPOSES] = { "purpose codes, separated by commas", "用途代码，逗号分隔" },
    [MSG_OPT_MODES] = { "lookup, query", "使用方式：lookup、query" },
    [MSG_OPT_ROW_FILTER] = { "filter every row must meet", "每一行都须满足的条件" },
    [MSG_OPT_VALID_FROM] = { "first day; default now", "起始日；默认即刻" },
    [MSG_OPT_VALID_UNTIL] = { "last day, included", "截止日（含当日）" },
    [MSG_OPT_DAYS] = { "valid for N days from now", "自现在起有效 N 天" },
    [MSG_OPT_RATE] = { "calls a second; default no limit", "每秒调用次数；默认不限" },
    [MSG_OPT_BURST] = { "calls at once within the rate", "突发调用次数" },
    [MSG_OPT_LEGAL_BASIS] = { "law or decision it rests on", "所依据的法律或决定" },
    [MSG_OPT_ID] = { "own id; default made by the gateway", "自定编号；默认由网关生成" },
    [MSG_OPT_REASON] = { "why, for the audit log", "原因，记入审计" },
    [MSG_OPT_LINES] = { "how many entries; default 20", "条数；默认 20" },
    [MSG_OPT_FOLLOW] = { "go on with new entries as they come", "持续显示新条目" },
    [MSG_OPT_DESCRIPTORS] = {
      "descriptor set; default DIR/canonical.pb",
      "描述符集；默认 DIR/canonical.pb" },
    [MSG_OPT_DATABASE] = {
      "connection string (SLUICE_CONTROL_DATABASE)",
      "连接串（SLUICE_CONTROL_DATABASE）" },
    [MSG_OPT_MIGRATIONS] = {
      "folder of NNN_name.sql; default as installed",
      "NNN_name.sql 所在目录；默认为安装位置" },
    [MSG_OPT_TITLE] = { "name for people", "显示名称" },
    [MSG_OPT_TITLE_ZH] = { "name for people, in Chinese", "中文名称" },
    [MSG_OPT_ENABLE] = { "let a disabled one take part again", "重新启用已停用者" },

    /* commands, one line each */
    [MSG_SUM_CATALOG_LIST] = { "the datasets you may see", "可见的数据集" },
    [MSG_SUM_CATALOG_SHOW] = { "one dataset with its fields", "数据集详情及字段" },
    [MSG_SUM_LOOKUP] = { "one record by its key", "按主键读取一条记录" },
    [MSG_SUM_QUERY] = { "the records that match a filter", "按条件读取记录" },
    [MSG_SUM_AGREEMENT_GRANT] = { "let a department's system read a dataset", "授权某部门系统读取数据集" },
    [MSG_SUM_AGREEMENT_LIST] = { "agreements of your department", "本部门的协议" },
    [MSG_SUM_AGREEMENT_SHOW] = { "one agreement", "协议详情" },
    [MSG_SUM_AGREEMENT_REVOKE] = { "end an agreement within one second", "一秒内终止协议" },
    [MSG_SUM_AUDIT_TAIL] = { "the newest audit entries", "最新的审计条目" },
    [MSG_SUM_AUDIT_CHECKPOINT] = { "the newest signed checkpoint", "最新的签名检查点" },
    [MSG_SUM_SCHEMA_CHECK] = { "check mappings and code tables, offline", "离线检查映射与代码表" },
    [MSG_SUM_CONFIG_CHECK] = { "check a configuration file, offline", "离线检查配置文件" },
    [MSG_SUM_DOCTOR] = { "find what stands in the way, with its fix", "诊断故障并给出处理办法" },
    [MSG_SUM_CONTROL_INIT] = { "prepare a new control database", "准备新的控制数据库" },
    [MSG_SUM_CONTROL_MIGRATE] = { "bring the control database up to date", "升级控制数据库" },
    [MSG_SUM_DEPARTMENT_ADD] = { "add a department", "添加部门" },
    [MSG_SUM_DEPARTMENT_LIST] = { "the departments", "列出部门" },
    [MSG_SUM_OFFICER_ADD] = { "add a data officer", "添加数据专员" },
    [MSG_SUM_OFFICER_LIST] = { "the data officers", "列出数据专员" },
    [MSG_SUM_OFFICER_DISABLE] = { "take an officer's rights away", "停用数据专员" },
    [MSG_SUM_VERSION] = { "the version of this command", "本命令的版本" },
    [MSG_SUM_COMPLETION] = { "shell completion script", "命令补全脚本" },

    /* help pages */
    [MSG_HELP_USAGE] = { "Usage:", "用法：" },
    [MSG_HELP_OPTIONS_WORD] = { "[options]", "[选项]" },
    [MSG_HELP_OPTIONS] = { "Options:", "选项：" },
    [MSG_HELP_GLOBAL_OPTIONS] = { "Options of every command:", "通用选项：" },
    [MSG_HELP_COMMANDS] = {
      "Commands (sluice COMMAND --help explains each):",
      "命令（sluice 命令 --help 查看详解）：" },
    [MSG_HELP_INTRO] = {
      "sluice: share data between departments through a Sluice gateway.\n"
      "\n"
      "Usage: sluice COMMAND [operands] [options]\n"
      "\n"
      "  sluice catalog list\n"
      "  sluice lookup civil-affairs/towns 110105001 --purpose address-check\n"
      "  sluice doctor",
      "sluice：经由数闸网关在部门之间共享数据。\n"
      "\n"
      "用法：sluice 命令 [参数] [选项]\n"
      "\n"
      "  sluice catalog list\n"
      "  sluice lookup civil-affairs/towns 110105001 --purpose address-check\n"
      "  sluice doctor" },
    [MSG_HELP_ENVIRONMENT] = {
      "Environment:\n"
      "  SLUICE_ENDPOINT SLUICE_CA SLUICE_CERT SLUICE_KEY    as the options of these names\n"
      "  SLUICE_OFFICER_ENDPOINT SLUICE_OFFICER_CERT SLUICE_OFFICER_KEY\n"
      "                                                      the same for agreement and audit\n"
      "  SLUICE_CONTROL_DATABASE                             for control, department and officer\n"
      "  SLUICE_SCHEMAS                                      folder of schemas and migrations\n"
      "  SLUICE_OPS_ENDPOINT                                 the ops listener, for doctor",
      "环境变量：\n"
      "  SLUICE_ENDPOINT SLUICE_CA SLUICE_CERT SLUICE_KEY    与同名选项相同\n"
      "  SLUICE_OFFICER_ENDPOINT SLUICE_OFFICER_CERT SLUICE_OFFICER_KEY\n"
      "                                                      用于 agreement 与 audit 命令\n"
      "  SLUICE_CONTROL_DATABASE                             用于 control、department、officer 命令\n"
      "  SLUICE_SCHEMAS                                      模式与迁移文件目录\n"
      "  SLUICE_OPS_ENDPOINT                                 运维端口，用于 doctor" },
    [MSG_HELP_EXIT] = {
      "Exit status:\n"
      "  0  done\n"
      "  1  refused or failed by the gateway, or a check found a fault\n"
      "  2  wrong use of this command\n"
      "  3  not found\n"
      "  4  denied\n"
      "  5  not available now: try again\n"
      "  6  the record is quarantined",
      "退出状态：\n"
      "  0  完成\n"
      "  1  网关拒绝或失败，或检查发现问题\n"
      "  2  命令用法有误\n"
      "  3  未找到\n"
      "  4  被拒绝（无权）\n"
      "  5  暂不可用，可重试\n"
      "  6  记录已隔离" },
    [MSG_HELP_CATALOG_LIST] = {
      "A dataset you may not see is not listed.\n"
      "\n"
      "  sluice catalog list\n"
      "  sluice catalog list --format csv > datasets.csv",
      "无权查看的数据集不会列出。\n"
      "\n"
      "  sluice catalog list\n"
      "  sluice catalog list --format csv > datasets.csv" },
    [MSG_HELP_CATALOG_SHOW] = {
      "Shows owner, key and every field: type, sensitivity, whether a filter may use it and whether\n"
      "one of your agreements grants it.\n"
      "\n"
      "  sluice catalog show civil-affairs/towns\n"
      "  sluice catalog show civil-affairs/towns --format json",
      "显示提供方、主键和各字段的类型、敏感级别、可否用于筛选、是否已获授权。\n"
      "\n"
      "  sluice catalog show civil-affairs/towns\n"
      "  sluice catalog show civil-affairs/towns --format json" },
    [MSG_HELP_LOOKUP] = {
      "A key of several fields joins their values with \"~\". Without --fields you get every field that\n"
      "your agreement grants. Exit status 3: no such record; 6: its row does not pass the owner's rules.\n"
      "\n"
      "  sluice lookup civil-affairs/towns 110105001 --purpose address-check\n"
      "  sluice lookup civil-affairs/towns 110105001 --purpose address-check --fields code,name --format json",
      "多字段主键以“~”连接各值。不写 --fields 则返回协议授权的全部字段。\n"
      "退出状态 3：无此记录；6：该行不符合提供方的数据规则。\n"
      "\n"
      "  sluice lookup civil-affairs/towns 110105001 --purpose address-check\n"
      "  sluice lookup civil-affairs/towns 110105001 --purpose address-check --fields code,name --format json" },
    [MSG_HELP_QUERY] = {
      "Streams in key order with constant memory. Rows that do not pass the owner's rules are skipped and\n"
      "counted; --strict then exits with 6. Filters know = != < <= > >= : AND OR NOT ( ).\n"
      "CSV text that begins with = + - or @ gets an apostrophe in front, so that no spreadsheet runs it.\n"
      "\n"
      "  sluice query civil-affairs/towns --purpose address-check --filter 'level = TOWN' --limit 10\n"
      "  sluice query civil-affairs/towns --purpose address-check --format csv > towns.csv",
      "按主键顺序流式读取，内存占用恒定。不符合数据规则的行会跳过并计数；加 --strict 则以 6 退出。\n"
      "筛选支持 = != < <= > >= : AND OR NOT ( )。\n"
      "CSV 中以 = + - @ 开头的文本前会加撇号，避免电子表格将其当作公式执行。\n"
      "\n"
      "  sluice query civil-affairs/towns --purpose address-check --filter 'level = TOWN' --limit 10\n"
      "  sluice query civil-affairs/towns --purpose address-check --format csv > towns.csv" },
    [MSG_HELP_AGREEMENT_GRANT] = {
      "Only an officer of the department that owns the dataset may grant. What an agreement says never\n"
      "changes: revoke it and grant another. --fields all grants every field the dataset has today.\n"
      "Required: --consumer --dataset --fields --purposes --modes and\n"
      "either --days or --valid-until.\n"
      "\n"
      "  sluice agreement grant --consumer taxation/portal --dataset civil-affairs/towns \\\n"
      "    --fields code,name --purposes address-check --modes lookup,query --days 365\n"
      "  sluice agreement grant --consumer 'taxation/*' --dataset civil-affairs/towns --fields all \\\n"
      "    --purposes statistics --modes query --valid-until 2027-12-31 --row-filter 'level = TOWN'",
      "只有数据集提供方部门的专员可以授权。协议内容不可更改：如需变更请终止后重新授权。\n"
      "--fields all 授予数据集现有的全部字段。\n"
      "必填：--consumer --dataset --fields --purposes --modes，以及 --days 或 --valid-until。\n"
      "\n"
      "  sluice agreement grant --consumer taxation/portal --dataset civil-affairs/towns \\\n"
      "    --fields code,name --purposes address-check --modes lookup,query --days 365\n"
      "  sluice agreement grant --consumer 'taxation/*' --dataset civil-affairs/towns --fields all \\\n"
      "    --purposes statistics --modes query --valid-until 2027-12-31 --row-filter 'level = TOWN'" },
    [MSG_HELP_AGREEMENT_LIST] = {
      "Agreements in which your department is owner or consumer.\n"
      "\n"
      "  sluice agreement list\n"
      "  sluice agreement list --dataset civil-affairs/towns --format jsonl",
      "本部门作为提供方或使用方的协议。\n"
      "\n"
      "  sluice agreement list\n"
      "  sluice agreement list --dataset civil-affairs/towns --format jsonl" },
    [MSG_HELP_AGREEMENT_SHOW] = {
      "  sluice agreement show agr-abc234def567",
      "  sluice agreement show agr-abc234def567" },
    [MSG_HELP_AGREEMENT_REVOKE] = {
      "In force on every gateway within one second, for running streams too. It cannot be undone.\n"
      "\n"
      "  sluice agreement revoke agr-abc234def567 --reason 'project ended'",
      "一秒内在所有网关生效，正在进行的数据流也会终止。不可撤回。\n"
      "\n"
      "  sluice agreement revoke agr-abc234def567 --reason '项目结束'" },
    [MSG_HELP_AUDIT_TAIL] = {
      "Oldest first, newest last. Each reading is itself an entry of the log; --follow leaves out its own.\n"
      "\n"
      "  sluice audit tail -n 50\n"
      "  sluice audit tail -f --dataset civil-affairs/towns --format jsonl",
      "由旧到新显示。每次查阅本身也记入审计；--follow 不显示自身的查阅。\n"
      "\n"
      "  sluice audit tail -n 50\n"
      "  sluice audit tail -f --dataset civil-affairs/towns --format jsonl" },
    [MSG_HELP_AUDIT_CHECKPOINT] = {
      "Keep checkpoints outside the gateway: whoever holds one can prove later that the log was not\n"
      "rewritten.\n"
      "\n"
      "  sluice audit checkpoint > checkpoint.$(date +%F)",
      "请将检查点保存在网关之外：持有者日后可以证明日志未被改写。\n"
      "\n"
      "  sluice audit checkpoint > checkpoint.$(date +%F)" },
    [MSG_HELP_SCHEMA_CHECK] = {
      "Reads DIR/departments/**.yaml, DIR/codes and the descriptor set as the gateway does. A fault is named\n"
      "by file, line and column. Default DIR: SLUICE_SCHEMAS, else as installed, else ./schemas.\n"
      "\n"
      "  sluice schema check\n"
      "  sluice schema check schemas --descriptors build/schemas/canonical.pb",
      "以网关同样的方式读取 DIR/departments/**.yaml、DIR/codes 和描述符集；问题以“文件:行:列”指出。\n"
      "DIR 默认为 SLUICE_SCHEMAS，其次为安装位置，再次为 ./schemas。\n"
      "\n"
      "  sluice schema check\n"
      "  sluice schema check schemas --descriptors build/schemas/canonical.pb" },
    [MSG_HELP_CONFIG_CHECK] = {
      "Checks before a reload what sluiced would refuse; a fault is named by file, line and column.\n"
      "\n"
      "  sluice config check /etc/sluice/sluiced.yaml && systemctl reload sluiced",
      "在重新加载之前检查配置；问题以“文件:行:列”指出。\n"
      "\n"
      "  sluice config check /etc/sluice/sluiced.yaml && systemctl reload sluiced" },
    [MSG_HELP_DOCTOR] = {
      "Checks certificates, key, TLS, clock and health; on the gateway's machine also databases and audit\n"
      "(SLUICE_OPS_ENDPOINT). Certificates that end within 30 days are a warning. Exit status 1: a check failed.\n"
      "\n"
      "  sluice doctor\n"
      "  SLUICE_OPS_ENDPOINT=127.0.0.1:9090 sluice doctor --format json",
      "检查证书、私钥、TLS、时钟和服务状态；在网关本机还可检查数据库与审计（SLUICE_OPS_ENDPOINT）。\n"
      "30 天内到期的证书会提示。退出状态 1：有检查未通过。\n"
      "\n"
      "  sluice doctor\n"
      "  SLUICE_OPS_ENDPOINT=127.0.0.1:9090 sluice doctor --format json" },
    [MSG_HELP_CONTROL_INIT] = {
      "Creates the group roles sluice_worker, sluice_auditor and sluice_officer when they are absent, then\n"
      "migrates. Running it again changes nothing.\n"
      "\n"
      "  createdb sluice\n"
      "  sluice control init --database 'host=/run/postgresql dbname=sluice'",
      "如无组角色 sluice_worker、sluice_auditor、sluice_officer 则创建，随后执行迁移。重复运行不会改变任何内容。\n"
      "\n"
      "  createdb sluice\n"
      "  sluice control init --database 'host=/run/postgresql dbname=sluice'" },
    [MSG_HELP_CONTROL_MIGRATE] = {
      "Applies the numbered files that the database has not seen, each in one transaction. Refuses when a\n"
      "file was changed after it had been applied.\n"
      "\n"
      "  sluice control migrate --database 'host=/run/postgresql dbname=sluice'",
      "依次执行数据库尚未执行的编号文件，每个文件一个事务。已执行的文件若被修改则拒绝。\n"
      "\n"
      "  sluice control migrate --database 'host=/run/postgresql dbname=sluice'" },
    [MSG_HELP_DEPARTMENT_ADD] = {
      "The name stands in certificates and dataset names and cannot be changed; titles can, by adding again.\n"
      "\n"
      "  sluice department add civil-affairs --title 'Civil Affairs Bureau' --title-zh 民政局",
      "名称出现在证书和数据集名中，不可更改；显示名称可再次添加以更新。\n"
      "\n"
      "  sluice department add civil-affairs --title 'Civil Affairs Bureau' --title-zh 民政局" },
    [MSG_HELP_DEPARTMENT_LIST] = {
      "  sluice department list --format csv",
      "  sluice department list --format csv" },
    [MSG_HELP_OFFICER_ADD] = {
      "The officer also needs a certificate with the URI that this command prints.\n"
      "\n"
      "  sluice officer add civil-affairs/li.na --title 'Data officer'",
      "专员还需要带有本命令所示 URI 的证书。\n"
      "\n"
      "  sluice officer add civil-affairs/li.na --title '数据专员'" },
    [MSG_HELP_OFFICER_LIST] = { "  sluice officer list", "  sluice officer list" },
    [MSG_HELP_OFFICER_DISABLE] = {
      "Agreements the officer granted stay in force; revoke those that should not.\n"
      "\n"
      "  sluice officer disable civil-affairs/li.na",
      "该专员授予的协议继续有效；如不应保留请逐一终止。\n"
      "\n"
      "  sluice officer disable civil-affairs/li.na" },
    [MSG_HELP_VERSION] = { "  sluice version", "  sluice version" },
    [MSG_HELP_COMPLETION] = {
      "  source <(sluice completion bash)\n"
      "  sluice completion zsh > ~/.zfunc/_sluice",
      "  source <(sluice completion bash)\n"
      "  sluice completion zsh > ~/.zfunc/_sluice" },
};

static const struct {
    const char *reason;
    const char *hint;
} hints_zh[] = {
    { "AGREEMENT_AMBIGUOUS", "有多个协议适用；请用 --agreement 指明" },
    { "AGREEMENT_EXISTS", "已有同编号的协议" },
    { "AGREEMENT_EXPIRED", "协议已到期；请与数据提供方重新签订" },
    { "AGREEMENT_ID", "协议编号格式有误" },
    { "AGREEMENT_NOT_FOUND", "没有适用的协议；请向数据提供方部门申请" },
    { "AGREEMENT_NOT_YET_VALID", "协议尚未生效" },
    { "AGREEMENT_OUTDATED", "协议与当前数据结构不符；请提供方重新授权" },
    { "AGREEMENT_REVOKED", "协议已被提供方终止" },
    { "AUDIT_BACKLOG", "审计积压，暂不放行记录；请稍后重试" },
    { "AUDIT_UNAVAILABLE", "审计库不可用，暂不放行任何记录；恢复后自动继续" },
    { "CALLER_CANCELLED", "调用已取消" },
    { "CONNECTION_LOST", "数据库连接中断；请重试" },
    { "CONSUMER_INVALID", "使用方格式有误；请写 部门/系统 或 部门/*" },
    { "CONTENT_TYPE", "请求的内容类型不被接受" },
    { "CONTROL_DATABASE", "控制数据库暂不可用；请稍后重试" },
    { "DATASET_NOT_FOUND", "没有该数据集，或无权查看" },
    { "DEADLINE_EXCEEDED", "未在时限内完成；请重试或用 --timeout 放宽" },
    { "DEPARTMENT_UNKNOWN", "网关没有登记该部门；请联系运维人员" },
    { "FIELDS_MISSING", "缺少授权字段" },
    { "FIELD_NOT_GRANTED", "所选字段未获授权；可用字段见 sluice catalog show" },
    { "FIELD_UNKNOWN", "没有该字段；字段见 sluice catalog show" },
    { "FILTER_FIELD", "筛选条件中的字段不存在或不可用于筛选" },
    { "FILTER_SYNTAX", "筛选条件语法有误" },
    { "FILTER_TOO_LARGE", "筛选条件过长" },
    { "FILTER_TYPE", "筛选条件中的值与字段类型不符" },
    { "IDENTITY_INVALID", "证书中的身份无效；请运行 sluice doctor" },
    { "IDENTITY_MISSING", "证书中没有身份；请运行 sluice doctor" },
    { "IDENTITY_TRUST_DOMAIN", "证书属于其他信任域" },
    { "JSON_INVALID", "请求的 JSON 无效" },
    { "KEYS_COUNT", "主键数量须为 1 至 1000" },
    { "KEY_INVALID", "主键格式有误" },
    { "LEASE_EXPIRED", "网关与控制数据库失去联系，暂不放行；请稍后重试" },
    { "LEGAL_BASIS_TOO_LONG", "法律依据过长" },
    { "LIMIT", "行数上限无效" },
    { "MESSAGE_TOO_LARGE", "请求过大" },
    { "METHOD_UNKNOWN", "该端口不提供此调用；端口是否正确？" },
    { "MODES_MISSING", "缺少使用方式" },
    { "MODE_INVALID", "使用方式无效" },
    { "MODE_NOT_GRANTED", "协议未授权此使用方式" },
    { "NOT_OWNER", "只有数据集提供方部门的专员可以执行此操作" },
    { "NOT_RELEASED", "记录未放行；请重试" },
    { "OFFICER_UNKNOWN", "网关没有登记该专员；请联系运维人员" },
    { "PAGE_SIZE", "分页大小无效" },
    { "PURPOSES_MISSING", "缺少用途" },
    { "PURPOSE_INVALID", "用途代码格式有误" },
    { "PURPOSE_MISSING", "缺少用途；请用 --purpose 指明" },
    { "PURPOSE_NOT_GRANTED", "协议未授权此用途" },
    { "RATE_INVALID", "频率限制无效" },
    { "RATE_LIMITED", "调用过于频繁；请稍后重试" },
    { "READER_TOO_SLOW", "读取过慢，网关已终止；请重试" },
    { "REASON_MISSING", "缺少原因；请用 --reason 写明" },
    { "RECORD_NOT_FOUND", "没有该记录" },
    { "RECORD_QUARANTINED", "该记录不符合提供方的数据规则，已隔离；请联系提供方" },
    { "RECORD_TOO_LARGE", "记录过大，无法交付" },
    { "REQUEST_ID_INVALID", "请求编号格式有误" },
    { "ROW_FILTER_FOREIGN", "行筛选条件使用了未授权的字段" },
    { "SCHEMA_DRIFT", "数据源结构已变化，数据集暂时关闭" },
    { "SHUTTING_DOWN", "网关正在停止；请重试" },
    { "SOURCE_BUSY", "数据源繁忙；请稍后重试" },
    { "SOURCE_EXHAUSTED", "数据源繁忙；请稍后重试" },
    { "SOURCE_PERMISSION", "数据源拒绝了网关的读取权限；请联系提供方" },
    { "SOURCE_STREAMS_FULL", "数据源同时读取的数据流已达上限；请稍后重试" },
    { "SOURCE_TIMEOUT", "数据源未及时应答；请缩小范围或稍后重试" },
    { "SOURCE_UNAVAILABLE", "数据源暂不可用；请稍后重试" },
    { "STREAM_TIME_LIMIT", "数据流超过时长上限；请用 --resume 接着读" },
    { "TOKEN_INVALID", "续传或分页标记不属于此查询；请从头查询" },
    { "VALIDITY_INVALID", "有效期无效" },
    { "VALIDITY_MISSING", "缺少有效期" },
    { "WRITE_UNCERTAIN", "提交结果未知；请先查询再决定是否重试" },
    { "WRONG_PORT", "端口不对：专员命令用专员端口，系统调用用系统端口" },
};
/* clang-format on */

static enum language chosen = LANGUAGE_EN;

void messages_set_language(enum language language)
{
    chosen = language;
}

enum language messages_language(void)
{
    return chosen;
}

const char *message_in(enum message_id id, enum language language)
{
    return texts[id][language];
}

const char *message(enum message_id id)
{
    return texts[id][chosen];
}

char *message_fill(enum message_id id, const char *const *args, size_t count)
{
    const char *at = message(id);
    struct buf out;
    size_t used = 0, len;

    buf_init(&out, MESSAGE_BYTES_MAX); /* beyond it the text is cut: it is for reading */
    for (;;) {
        const char *place = strstr(at, "%s");

        if (place == NULL)
            break;
        assert(used < count);
        (void)buf_append(&out, at, (size_t)(place - at));
        (void)text_append_safe(&out, args[used], strlen(args[used]));
        used++;
        at = place + 2;
    }
    (void)buf_append_str(&out, at);
    (void)buf_cstr(&out);
    return (char *)buf_steal(&out, &len);
}

const char *message_reason_hint(const char *reason)
{
    if (chosen != LANGUAGE_ZH)
        return NULL;
    for (size_t i = 0; i < sizeof hints_zh / sizeof hints_zh[0]; i++)
        if (strcmp(hints_zh[i].reason, reason) == 0)
            return hints_zh[i].hint;
    return NULL;
}
