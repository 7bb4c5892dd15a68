#include "sentinel/handover.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* The file travels beside the number. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

bool rollcall__handover_send(int socket, const struct rollcall__companion *companion)
{
    int64_t number = companion->number;
    union control control = {.bytes = {0}};
    struct iovec data = {.iov_base = &number, .iov_len = sizeof number};
    const struct msghdr message = {.msg_iov = &data,
                                   .msg_iovlen = 1,
                                   .msg_control = control.bytes,
                                   .msg_controllen = sizeof control.bytes};
    control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof companion->pid_fd),
                                      .cmsg_level = SOL_SOCKET,
                                      .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), &companion->pid_fd, sizeof companion->pid_fd);
    ssize_t sent;
    do {
        sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof number;
}

enum rollcall__handover rollcall__handover_receive(int socket,
                                                   struct rollcall__companion *companion)
{
    union control control = {.bytes = {0}};
    struct iovec data = {.iov_base = &companion->number, .iov_len = sizeof companion->number};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t size;
    do {
        size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && errno == EAGAIN) {
        return ROLLCALL__HANDOVER_NOTHING;
    }
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (size != (ssize_t)sizeof companion->number || header == NULL ||
        header->cmsg_type != SCM_RIGHTS) {
        return ROLLCALL__HANDOVER_END;
    }
    memcpy(&companion->pid_fd, CMSG_DATA(header), sizeof companion->pid_fd);
    return ROLLCALL__HANDOVER_ONE;
}
