#include "support/postgres.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS_MAX = 30000, STEP_MS = 20, PATH_BYTES = 1024, SERVERS_MAX = 8 };

struct postgres {
    char dir[64];
    char data[80];
    char conninfo[256];
    char conninfo_tcp[256];
    int port;
    pid_t pid; /* 0: not running */
};

static struct postgres *servers[SERVERS_MAX];
static pid_t owner; /* a forked child of a test must not clean up after its parent */

static void die(const char *what)
{
    (void)fprintf(stderr, "postgres test support: %s: %s\n", what, strerror(errno));
    abort();
}

static void nap(void)
{
    struct timespec step = { .tv_nsec = STEP_MS * 1000000L };
    (void)nanosleep(&step, NULL);
}

/* initdb and postgres refuse root. */
static void become_postgres_user(void)
{
    if (geteuid() != 0)
        return;
    struct passwd *user = getpwnam("postgres");
    if (user == NULL || initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0)
        _exit(126);
}

static const char *bin_dir(void)
{
    static char dir[PATH_BYTES];
    const char *wanted = getenv("SLUICE_PG_BINDIR");
    if (wanted != NULL)
        return wanted;
    glob_t found;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) != 0 || found.gl_pathc == 0)
        die("no initdb found; set SLUICE_PG_BINDIR");
    (void)snprintf(dir, sizeof dir, "%s", found.gl_pathv[found.gl_pathc - 1]);
    *strrchr(dir, '/') = '\0';
    globfree(&found);
    return dir;
}

static void exec_program(const char *name, char *argv[], const char *log)
{
    char path[PATH_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s/%s", bin_dir(), name);
    argv[0] = path; /* initdb looks for its companions there, and in PATH only without it */
    become_postgres_user();
    (void)prctl(PR_SET_PDEATHSIG, SIGQUIT); /* after setuid, which clears it */
    if (getppid() != owner)
        _exit(125);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || chdir("/") != 0)
        _exit(124);
    /* AddressSanitizer's settings of the test program are not meant for the server. */
    (void)unsetenv("LD_PRELOAD");
    (void)execv(path, argv);
    _exit(127);
}

static pid_t start_program(const struct postgres *postgres, const char *name, char *argv[])
{
    char log[PATH_BYTES];
    (void)snprintf(log, sizeof log, "%s/log", postgres->dir);
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        exec_program(name, argv, log);
    return pid;
}

static void print_log(const struct postgres *postgres)
{
    char command[PATH_BYTES];
    (void)snprintf(command, sizeof command, "tail -n 20 %s/log >&2", postgres->dir);
    if (system(command) != 0)
        (void)fputs("(no log)\n", stderr);
}

static int free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        die("no free port");
    (void)close(fd);
    return ntohs(address.sin_port);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void free_all(void)
{
    if (getpid() != owner)
        return;
    for (int i = 0; i < SERVERS_MAX; i++)
        postgres_free(&servers[i]);
}

static void make_cluster(struct postgres *postgres)
{
    char *argv[] = { NULL, /* the program */
                     (char *)"-D",
                     postgres->data,
                     (char *)"-A",
                     (char *)"trust",
                     (char *)"-U",
                     (char *)"postgres",
                     (char *)"-E",
                     (char *)"UTF8",
                     (char *)"--no-sync",
                     (char *)"--locale",
                     (char *)"C",
                     NULL };
    pid_t pid = start_program(postgres, "initdb", argv);
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        print_log(postgres);
        die("initdb failed");
    }
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/postgresql.auto.conf", postgres->data);
    FILE *file = fopen(path, "a");
    if (file == NULL)
        die(path);
    (void)fprintf(file,
                  "listen_addresses = '127.0.0.1'\nport = %d\nunix_socket_directories = '%s'\n"
                  "fsync = off\nmax_connections = 60\nshared_buffers = '16MB'\n"
                  /* compiling a query takes longer than the deadlines under test */
                  "jit = off\n",
                  postgres->port, postgres->dir);
    (void)fclose(file);
}

struct postgres *postgres_new_stopped(void)
{
    int slot = 0;
    while (slot < SERVERS_MAX && servers[slot] != NULL)
        slot++;
    if (slot == SERVERS_MAX)
        die("too many servers");
    if (owner == 0) {
        owner = getpid();
        (void)atexit(free_all);
    }
    struct postgres *postgres = calloc(1, sizeof *postgres);
    if (postgres == NULL)
        die("calloc");
    servers[slot] = postgres;
    (void)snprintf(postgres->dir, sizeof postgres->dir, "/tmp/sluice-pg-XXXXXX");
    if (mkdtemp(postgres->dir) == NULL)
        die("mkdtemp");
    struct passwd *user = geteuid() == 0 ? getpwnam("postgres") : NULL;
    if (geteuid() == 0 && (user == NULL || chown(postgres->dir, user->pw_uid, user->pw_gid) != 0))
        die("chown");
    (void)snprintf(postgres->data, sizeof postgres->data, "%s/data", postgres->dir);
    postgres->port = free_port();
    (void)snprintf(postgres->conninfo, sizeof postgres->conninfo,
                   "host=%s port=%d user=postgres dbname=postgres", postgres->dir, postgres->port);
    (void)snprintf(postgres->conninfo_tcp, sizeof postgres->conninfo_tcp,
                   "host=127.0.0.1 port=%d user=postgres dbname=postgres", postgres->port);
    make_cluster(postgres);
    return postgres;
}

void postgres_configure(struct postgres *postgres, const char *lines)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/postgresql.auto.conf", postgres->data);
    FILE *file = fopen(path, "a");
    if (file == NULL || fputs(lines, file) < 0 || fclose(file) != 0)
        die(path);
}

void postgres_give_file(struct postgres *postgres, const char *path, const char *name)
{
    char to[PATH_BYTES], bytes[16384];
    struct stat owner_of;
    (void)snprintf(to, sizeof to, "%s/%s", postgres->data, name);
    FILE *in = fopen(path, "r");
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t len = in != NULL ? fread(bytes, 1, sizeof bytes, in) : 0;
    if (len == 0 || fd < 0 || write(fd, bytes, len) != (ssize_t)len ||
        stat(postgres->data, &owner_of) != 0 || fchown(fd, owner_of.st_uid, owner_of.st_gid) != 0)
        die(name);
    (void)fclose(in);
    (void)close(fd);
}

static bool exited(struct postgres *postgres)
{
    int status;
    return waitpid(postgres->pid, &status, WNOHANG) == postgres->pid;
}

void postgres_start(struct postgres *postgres)
{
    if (postgres->pid != 0)
        return;
    char *argv[] = { NULL, (char *)"-D", postgres->data, NULL };
    postgres->pid = start_program(postgres, "postgres", argv);
    for (int waited = 0; waited < WAIT_MS_MAX; waited += STEP_MS) {
        if (PQping(postgres->conninfo) == PQPING_OK)
            return;
        /* After a SIGKILL the old backends hold the shared memory for a moment. */
        if (exited(postgres))
            postgres->pid = start_program(postgres, "postgres", argv);
        nap();
    }
    print_log(postgres);
    die("the server does not start");
}

void postgres_stop(struct postgres *postgres, enum postgres_stop how)
{
    if (postgres->pid == 0)
        return;
    int number = how == POSTGRES_FAST ? SIGINT : how == POSTGRES_IMMEDIATE ? SIGQUIT : SIGKILL;
    (void)kill(postgres->pid, number);
    for (int waited = 0; waited < WAIT_MS_MAX; waited += STEP_MS) {
        if (exited(postgres)) {
            postgres->pid = 0;
            return;
        }
        nap();
    }
    die("the server does not stop");
}

bool postgres_running(const struct postgres *postgres)
{
    return postgres->pid != 0;
}

struct postgres *postgres_new(void)
{
    struct postgres *postgres = postgres_new_stopped();
    postgres_start(postgres);
    return postgres;
}

void postgres_free(struct postgres **postgres)
{
    struct postgres *p = *postgres;
    *postgres = NULL;
    if (p == NULL)
        return;
    for (int i = 0; i < SERVERS_MAX; i++)
        if (servers[i] == p)
            servers[i] = NULL;
    postgres_stop(p, POSTGRES_IMMEDIATE);
    (void)nftw(p->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(p);
}

const char *postgres_conninfo(const struct postgres *postgres)
{
    return postgres->conninfo;
}

const char *postgres_conninfo_tcp(const struct postgres *postgres)
{
    return postgres->conninfo_tcp;
}

int postgres_port(const struct postgres *postgres)
{
    return postgres->port;
}

const char *postgres_socket_dir(const struct postgres *postgres)
{
    return postgres->dir;
}

char *postgres_value(const struct postgres *postgres, const char *sql)
{
    PGconn *pg = PQconnectdb(postgres->conninfo);
    PGresult *result = PQstatus(pg) == CONNECTION_OK ? PQexec(pg, sql) : NULL;
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        (void)fprintf(stderr, "%s", PQerrorMessage(pg));
        die(sql);
    }
    char *value = strdup(PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(pg);
    return value;
}

void postgres_sql(const struct postgres *postgres, const char *sql)
{
    free(postgres_value(postgres, sql));
}
