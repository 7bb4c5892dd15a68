/* bench/support/metrics.c - see metrics.h. */
#include "support/metrics.h"

#include "support/etcd_fixture.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TEXT_BYTES = 1 << 20, PATIENCE_S = 5 };

char *metrics_get(const char *endpoint)
{
    static const char REQUEST[] = "GET /metrics HTTP/1.0\r\n\r\n";
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct sockaddr_in address;
    char *text = malloc(TEXT_BYTES);
    const uint16_t port = (uint16_t)strtol(strchr(endpoint, ':') + 1, NULL, 10);
    const int file = text == NULL ? -1 : etcd_fixture_socket(port, 0, &address);
    size_t got = 0;
    ssize_t more = 0;
    if (file >= 0 && setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        connect(file, (struct sockaddr *)&address, sizeof address) == 0 &&
        write(file, REQUEST, sizeof REQUEST - 1) == sizeof REQUEST - 1) {
        do {
            more = read(file, text + got, TEXT_BYTES - 1 - got);
            got += more > 0 ? (size_t)more : 0;
        } while (more > 0 && got < TEXT_BYTES - 1);
    }
    if (file >= 0) {
        close(file);
    }
    if (text != NULL) {
        text[got] = '\0';
    }
    return text;
}

int64_t metrics_value(const char *text, const char *name)
{
    const char *found = text;
    while (found != NULL && (found = strstr(found, name)) != NULL) {
        if (found != text && found[-1] == '\n' && found[strlen(name)] == ' ') {
            return (int64_t)strtod(found + strlen(name), NULL);
        }
        found++;
    }
    return -1;
}

static bool holds(const char *labels, const char *end, const char *part)
{
    const char *found = strstr(labels, part);
    return found != NULL && found < end;
}

int64_t metrics_sum(const char *text, const char *name, const char *part, const char *without)
{
    const char *found = text;
    int64_t sum = 0;
    while (found != NULL && (found = strstr(found, name)) != NULL) {
        const char *labels = found + strlen(name), *end = strchr(labels, '}');
        if (found != text && found[-1] == '\n' && *labels == '{' && end != NULL &&
            (part == NULL || holds(labels, end, part)) &&
            (without == NULL || !holds(labels, end, without))) {
            sum += (int64_t)strtod(end + 1, NULL);
        }
        found++;
    }
    return sum;
}
