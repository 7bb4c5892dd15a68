#include "cli/demo_port.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_PORT = 20000, PORT_PAIRS = 6000, TRIES = 200 };

static bool is_free(int port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    /* As etcd does: a port in TIME_WAIT can be bound. */
    const int on = 1;
    const bool reuses = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const bool bound = reuses && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
                       listen(fd, 1) == 0;
    close(fd);
    return bound;
}

int cli_demo_port_pair(int attempt)
{
    /* Neighbouring process IDs start far apart, so that demos at the same time rarely meet. */
    const int start = (int)(((int64_t)getpid() * 37 + (int64_t)attempt * 1009) % PORT_PAIRS);
    for (int i = 0; i < TRIES; i++) {
        const int port = FIRST_PORT + 2 * ((start + i) % PORT_PAIRS);
        if (is_free(port) && is_free(port + 1)) {
            return port;
        }
    }
    return 0;
}

/* The inode of the socket that listens on 127.0.0.1:port; 0: none. */
static uint64_t listener_inode(int port)
{
    FILE *table = fopen("/proc/net/tcp", "re");
    if (table == NULL) {
        return 0;
    }
    enum { LISTENING = 0x0a };
    char line[256];
    uint64_t found = 0;
    while (found == 0 && fgets(line, sizeof line, table) != NULL) {
        unsigned address, local_port, state;
        uint64_t inode;
        if (sscanf(line, " %*d: %8X:%4X %*8X:%*4X %2X %*8X:%*8X %*2X:%*8X %*8X %*u %*u %" SCNu64,
                   &address, &local_port, &state, &inode) == 4 &&
            state == LISTENING && (int)local_port == port && address == htonl(INADDR_LOOPBACK)) {
            found = inode;
        }
    }
    fclose(table);
    return found;
}

bool cli_demo_port_is_owned(int port, pid_t owner)
{
    const uint64_t inode = listener_inode(port);
    char path[64], wanted[64], target[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)owner);
    snprintf(wanted, sizeof wanted, "socket:[%" PRIu64 "]", inode);
    DIR *directory = inode == 0 ? NULL : opendir(path);
    if (directory == NULL) {
        return false;
    }
    bool owned = false;
    const struct dirent *entry;
    while (!owned && (entry = readdir(directory)) != NULL) {
        const ssize_t size = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        if (size > 0) {
            target[size] = '\0';
            owned = strcmp(target, wanted) == 0;
        }
    }
    closedir(directory);
    return owned;
}
