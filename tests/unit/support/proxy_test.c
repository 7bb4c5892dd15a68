/* tests/unit/support/proxy_test.c - the faults that tests of outages rely on, each between a socket
 * that connects and one that listens. */
#include "support/proxy.h"

#include "support/etcd_fixture.h"
#include "support/process.h"
#include "support/test.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOON_MS = 10000, QUIET_MS = 150, LONG_BYTES = 1000000, DELAY_MS = 300 };

struct stage {
    int listener, client, server;
    struct proxy *proxy;
};

static bool ready(int fd, int64_t timeout_ms)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    return poll(&polled, 1, (int)timeout_ms) == 1;
}

static int connect_client(const struct stage *stage)
{
    struct sockaddr_in address;
    const char *endpoint = proxy_endpoint(stage->proxy);
    const int fd =
        etcd_fixture_socket((uint16_t)strtoul(strchr(endpoint, ':') + 1, NULL, 10), 0, &address);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        return fd;
    }
    CHECK_INT(errno, ECONNREFUSED);
    close(fd);
    return -1;
}

static int accept_server(const struct stage *stage)
{
    CHECK(ready(stage->listener, SOON_MS));
    const int fd = accept(stage->listener, NULL, NULL);
    CHECK(fd >= 0);
    return fd;
}

static void set_up(struct stage *stage, proxy_tap_fn *tap, void *user)
{
    struct sockaddr_in address;
    char server[32];
    const uint16_t port = etcd_fixture_draw_port(0);
    stage->listener = etcd_fixture_socket(port, 0, &address);
    CHECK_INT(bind(stage->listener, (const struct sockaddr *)&address, sizeof address), 0);
    CHECK_INT(listen(stage->listener, 8), 0);
    snprintf(server, sizeof server, "127.0.0.1:%u", port);
    stage->proxy = proxy_create(server, tap, user);
    CHECK(stage->proxy != NULL);
    stage->client = connect_client(stage);
    stage->server = accept_server(stage);
}

static void tear_down(struct stage *stage)
{
    proxy_destroy(stage->proxy);
    close(stage->listener);
    close(stage->client);
    close(stage->server);
}

static void say(int fd, const char *text)
{
    CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void check_hears(int fd, const char *text)
{
    char heard[64] = "";
    for (size_t used = 0; used < strlen(text);) {
        CHECK(ready(fd, SOON_MS));
        const ssize_t size = recv(fd, heard + used, strlen(text) - used, 0);
        CHECK(size > 0);
        used += (size_t)size;
    }
    CHECK_STR(heard, text);
}

static void check_quiet(int fd)
{
    CHECK(!ready(fd, QUIET_MS));
}

static void check_reset(int fd)
{
    char byte;
    CHECK(ready(fd, SOON_MS));
    CHECK_INT(recv(fd, &byte, 1, 0), -1);
    CHECK_INT(errno, ECONNRESET);
}

TEST(proxy, forwards_both_ways_and_passes_the_end_on)
{
    struct stage stage;
    char byte;
    set_up(&stage, NULL, NULL);
    say(stage.client, "question");
    check_hears(stage.server, "question");
    say(stage.server, "answer");
    check_hears(stage.client, "answer");
    CHECK_INT(proxy_connections(stage.proxy), 1);
    CHECK_INT(proxy_open(stage.proxy), 1);
    CHECK_INT(proxy_bytes_from(stage.proxy, PROXY_CLIENT), strlen("question"));
    CHECK_INT(proxy_bytes_from(stage.proxy, PROXY_SERVER), strlen("answer"));
    shutdown(stage.server, SHUT_WR);
    CHECK(ready(stage.client, SOON_MS));
    CHECK_INT(recv(stage.client, &byte, 1, 0), 0);
    tear_down(&stage);
}

TEST(proxy, forwards_more_than_any_buffer_holds_unchanged)
{
    static char sent[LONG_BYTES], heard[LONG_BYTES];
    struct stage stage;
    set_up(&stage, NULL, NULL);
    for (int i = 0; i < LONG_BYTES; i++) {
        sent[i] = (char)(i * 31 / 7);
    }
    for (size_t out = 0, in = 0; in < LONG_BYTES;) {
        if (out < LONG_BYTES) {
            const ssize_t size =
                send(stage.client, sent + out, LONG_BYTES - out, MSG_DONTWAIT | MSG_NOSIGNAL);
            out += size > 0 ? (size_t)size : 0;
        }
        if (ready(stage.server, out < LONG_BYTES ? 0 : SOON_MS)) {
            const ssize_t size = recv(stage.server, heard + in, LONG_BYTES - in, 0);
            CHECK(size > 0);
            in += (size_t)size;
        } else {
            CHECK(out < LONG_BYTES);
        }
    }
    CHECK_INT(memcmp(sent, heard, LONG_BYTES), 0);
    tear_down(&stage);
}

TEST(proxy, what_was_held_comes_later_and_complete)
{
    struct stage stage;
    set_up(&stage, NULL, NULL);
    proxy_set(stage.proxy, PROXY_HOLD);
    say(stage.client, "question");
    say(stage.server, "answer");
    check_quiet(stage.server);
    check_quiet(stage.client);
    proxy_set(stage.proxy, PROXY_ANSWERS);
    check_hears(stage.client, "answer");
    check_quiet(stage.server);
    proxy_set(stage.proxy, PROXY_QUESTIONS);
    check_hears(stage.server, "question");
    say(stage.server, "another");
    check_quiet(stage.client);
    proxy_set(stage.proxy, PROXY_FORWARD);
    check_hears(stage.client, "another");
    tear_down(&stage);
}

TEST(proxy, a_black_hole_swallows_what_is_open_and_what_comes_and_tells_nobody)
{
    struct stage stage;
    set_up(&stage, NULL, NULL);
    proxy_set(stage.proxy, PROXY_BLACKHOLE);
    const int late = connect_client(&stage);
    say(stage.client, "question");
    say(stage.server, "answer");
    say(late, "question");
    check_quiet(stage.server);
    check_quiet(stage.client);
    check_quiet(late);
    CHECK(!ready(stage.listener, 0));
    CHECK_INT(proxy_connections(stage.proxy), 2);
    proxy_set(stage.proxy, PROXY_FORWARD); /* of a stream that has a hole nothing is passed on */
    say(stage.client, "more");
    check_quiet(stage.server);
    proxy_cut(stage.proxy);
    check_reset(stage.client);
    check_reset(late);
    close(late);
    tear_down(&stage);
}

TEST(proxy, refuses_until_it_forwards_again)
{
    struct stage stage;
    set_up(&stage, NULL, NULL);
    proxy_set(stage.proxy, PROXY_REFUSE);
    check_reset(stage.client);
    CHECK_INT(connect_client(&stage), -1);
    proxy_set(stage.proxy, PROXY_FORWARD);
    close(stage.client);
    close(stage.server);
    stage.client = connect_client(&stage);
    stage.server = accept_server(&stage);
    say(stage.client, "question");
    check_hears(stage.server, "question");
    tear_down(&stage);
}

TEST(proxy, cut_resets_both_ends_and_takes_the_next)
{
    struct stage stage;
    set_up(&stage, NULL, NULL);
    proxy_cut(stage.proxy);
    check_reset(stage.client);
    check_reset(stage.server);
    close(stage.client);
    close(stage.server);
    stage.client = connect_client(&stage);
    stage.server = accept_server(&stage);
    say(stage.server, "answer");
    check_hears(stage.client, "answer");
    tear_down(&stage);
}

TEST(proxy, a_server_that_is_not_there_resets_and_is_counted)
{
    struct stage stage;
    set_up(&stage, NULL, NULL);
    close(stage.listener);
    for (int i = 0; i < 3; i++) {
        const int fd = connect_client(&stage);
        check_reset(fd);
        close(fd);
    }
    CHECK_INT(proxy_connections(stage.proxy), 4);
    CHECK_INT(proxy_open(stage.proxy), 1);
    stage.listener = -1;
    tear_down(&stage);
}

TEST(proxy, delays_by_as_much_as_it_is_told)
{
    struct stage stage;
    set_up(&stage, NULL, NULL);
    proxy_delay(stage.proxy, DELAY_MS);
    const int64_t began_ms = process_now_ms();
    say(stage.client, "question");
    check_hears(stage.server, "question");
    CHECK(process_now_ms() - began_ms >= DELAY_MS);
    tear_down(&stage);
}

TEST(proxy, drops_the_answers_of_whoever_sent_the_text_though_in_two_parts)
{
    struct stage stage;
    set_up(&stage, NULL, NULL);
    proxy_drop_answers_after(stage.proxy, "LeaseGrant");
    const int other = connect_client(&stage);
    const int other_server = accept_server(&stage);
    say(stage.client, "/Lease");
    check_hears(stage.server, "/Lease");
    say(stage.client, "Grant");
    check_hears(stage.server, "Grant");
    say(stage.server, "answer");
    check_quiet(stage.client);
    say(other, "LeaseRevoke");
    check_hears(other_server, "LeaseRevoke");
    say(other_server, "answer");
    check_hears(other, "answer");
    CHECK_INT(proxy_dropped(stage.proxy), 1);
    close(other);
    close(other_server);
    tear_down(&stage);
}

struct tapped {
    int times[2];
};

static void capitalise(void *user, const struct proxy_bytes *bytes)
{
    struct tapped *tapped = user;
    tapped->times[bytes->from]++;
    for (size_t i = bytes->begin; bytes->from == PROXY_SERVER && i < bytes->end; i++) {
        bytes->data[i] = (char)(bytes->data[i] - 'a' + 'A');
    }
}

TEST(proxy, what_the_tap_changes_is_what_arrives)
{
    struct stage stage;
    struct tapped tapped = {{0}};
    set_up(&stage, capitalise, &tapped);
    say(stage.client, "question");
    check_hears(stage.server, "question");
    say(stage.server, "answer");
    check_hears(stage.client, "ANSWER");
    tear_down(&stage);
    CHECK_INT(tapped.times[PROXY_CLIENT], 1);
    CHECK_INT(tapped.times[PROXY_SERVER], 1);
}
