#include "support/measure.h"

#include "support/process.h"

#include <rollcall/version.h>

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

int64_t measure_rss_bytes(pid_t pid)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        if (fscanf(file, "%*d %ld", &pages) != 1) {
            pages = 0;
        }
        fclose(file);
    }
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

int64_t measure_cpu_ms(pid_t pid)
{
    char path[64], line[1024] = "";
    uint64_t user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    const size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = '\0';
    const char *after_name = strrchr(line, ')'); /* the name may hold anything */
    if (after_name == NULL ||
        sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
               &user, &system) != 2) {
        return 0;
    }
    return (int64_t)((user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

int64_t measure_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec used = {0};
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
        return 0;
    }
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

static int64_t core_wait_of_thread_us(pid_t pid, const char *thread)
{
    char path[64];
    int64_t waited_ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%.16s/schedstat", (int)pid, thread);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        if (fscanf(file, "%*d %" SCNd64, &waited_ns) != 1) {
            waited_ns = 0;
        }
        fclose(file);
    }
    return waited_ns / 1000;
}

int64_t measure_core_wait_us(pid_t pid)
{
    char path[64];
    int64_t sum_us = 0;
    const struct dirent *thread;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    while (threads != NULL && (thread = readdir(threads)) != NULL) {
        sum_us += core_wait_of_thread_us(pid, thread->d_name);
    }
    if (threads != NULL) {
        closedir(threads);
    }
    return sum_us;
}

int64_t measure_own_rss_bytes(pid_t pid)
{
    char path[64], line[128];
    int64_t sum_kb = 0, kb;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "RssAnon: %" SCNd64, &kb) == 1 ||
            sscanf(line, "RssFile: %" SCNd64, &kb) == 1) {
            sum_kb += kb;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return sum_kb * 1024;
}

void measure_print_etcd(void)
{
    enum { RUN_MS = 10000 };
    const char *const arguments[] = {"etcd", "--version", NULL};
    char version[32] = "unknown";
    struct process process;
    if (process_run(&process, &(struct process_options){.arguments = arguments}, RUN_MS)) {
        (void)sscanf(process.out.data, "etcd Version: %31[0-9a-zA-Z.+-]", version);
    }
    process_destroy(&process);
    printf("\"etcd\":\"%s\"", version);
}

void measure_print_host(void)
{
    struct utsname host;
    if (uname(&host) != 0) {
        host.release[0] = '\0';
    }
    printf("\"kernel\":\"%s\",\"cores\":%ld,\"library\":\"%s\"", host.release,
           sysconf(_SC_NPROCESSORS_ONLN), rollcall_version());
}
