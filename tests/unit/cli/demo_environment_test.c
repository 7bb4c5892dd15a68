#include "cli/demo_environment.h"

#include "support/test.h"

#include <stdlib.h>

static bool has(char *const *environment, const char *variable)
{
    while (*environment != NULL && strcmp(*environment, variable) != 0) {
        environment++;
    }
    return *environment != NULL;
}

TEST(demo_environment, what_is_meant_for_the_user_s_etcd_is_left_out)
{
    static const struct {
        const char *name;
        bool kept;
    } variables[] = {
        {"ETCD_NAME", false},     {"ETCDCTL_ENDPOINTS", false},
        {"ROLLCALL_ROOT", false}, {"ETCD_UNSUPPORTED_ARCH", true},
        {"MY_ETCD_NAME", true},   {"ETCDROLLCALL", true},
    };
    enum { COUNT = sizeof variables / sizeof variables[0] };
    for (size_t i = 0; i < COUNT; i++) {
        setenv(variables[i].name, "x", 1);
    }
    char **environment = cli_demo_environment();
    CHECK(environment != NULL);
    for (size_t i = 0; i < COUNT; i++) {
        char variable[64];
        snprintf(variable, sizeof variable, "%s=x", variables[i].name);
        CHECK_INT(has(environment, variable), variables[i].kept);
    }
    free(environment);
    for (size_t i = 0; i < COUNT; i++) {
        unsetenv(variables[i].name);
    }
}
