#include "cli/demo_environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool begins_with(const char *variable, const char *prefix)
{
    return strncmp(variable, prefix, strlen(prefix)) == 0;
}

static bool is_for_others(const char *variable)
{
    return begins_with(variable, "ROLLCALL_") || begins_with(variable, "ETCDCTL_") ||
           (begins_with(variable, "ETCD_") && !begins_with(variable, "ETCD_UNSUPPORTED_ARCH="));
}

char **cli_demo_environment(void)
{
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **kept = calloc(count + 1, sizeof kept[0]);
    for (size_t i = 0, k = 0; kept != NULL && i < count; i++) {
        if (!is_for_others(environ[i])) {
            kept[k++] = environ[i];
        }
    }
    return kept;
}
