/* actors/README.md draws every actor's arrows; here they are compared with the tables. */
#include "actors/allocator.h"
#include "actors/application.h"
#include "actors/auditor.h"
#include "actors/departure.h"
#include "actors/election.h"
#include "actors/errand.h"
#include "actors/hub.h"
#include "actors/keepalive.h"
#include "actors/lease_keeper.h"
#include "actors/lease_share.h"
#include "actors/liveness.h"
#include "actors/reflector.h"
#include "actors/registration.h"
#include "actors/session.h"
#include "actors/supervisor.h"
#include "actors/watcher.h"
#include "base/buffer.h"

#include "support/test.h"

#include <stdlib.h>

#define README ROLLCALL_TEST_SOURCE "/actors/README.md"

static const struct rollcall_actor_type *const TYPES[] = {
    &session_type,   &registration_type, &keepalive_type,    &lease_share_type,
    &liveness_type,  &departure_type,    &lease_keeper_type, &allocator_type,
    &election_type,  &errand_type,       &watcher_type,      &hub_type,
    &reflector_type, &auditor_type,      &application_type,  &supervisor_type};

static void read_readme(struct rollcall__buffer *text)
{
    char part[4096];
    FILE *file = fopen(README, "r");
    CHECK(file != NULL);
    for (size_t size; (size = fread(part, 1, sizeof part, file)) > 0;) {
        rollcall__buffer_append(text, part, size);
    }
    fclose(file);
    CHECK(!text->failed);
}

static const struct rollcall_cell *cell_of(const struct rollcall_actor_type *type, int state,
                                           int message)
{
    return &type->table[(size_t)state * type->message_count + (size_t)message];
}

/* In the order of the table: by state, by message, by the state it leads to. */
static void draw(const struct rollcall_actor_type *type, struct rollcall__buffer *text)
{
    rollcall__buffer_format(text, "\n### %s\n\n```text\n", type->name);
    for (int state = 0; state < type->state_count; state++) {
        for (int message = 0; message < type->message_count; message++) {
            for (int to = 0; to < type->state_count; to++) {
                if (to != state && (cell_of(type, state, message)->to & ROLLCALL_TO(to)) != 0) {
                    rollcall__buffer_format(text, "%s -> %s: %s\n", type->state_names[state],
                                            type->state_names[to], type->message_names[message]);
                }
            }
        }
    }
    rollcall__buffer_text(text, "```\n");
    CHECK(!text->failed);
}

TEST(table, the_readme_draws_every_arrow_of_every_actor)
{
    struct rollcall__buffer readme = {0};
    read_readme(&readme);
    bool same = true;
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++) {
        struct rollcall__buffer drawn = {0};
        draw(TYPES[i], &drawn);
        if (strstr(readme.data, drawn.data) == NULL) {
            fprintf(stderr, "actors/README.md should say:\n%s\n", drawn.data);
            same = false;
        }
        rollcall__buffer_free(&drawn);
    }
    rollcall__buffer_free(&readme);
    CHECK(same);
}

/* A cell that may move to states which do not exist would hide a mistake in the table. */
TEST(table, no_cell_leads_to_a_state_that_does_not_exist)
{
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++) {
        const struct rollcall_actor_type *type = TYPES[i];
        for (int state = 0; state < type->state_count; state++) {
            for (int message = 0; message < type->message_count; message++) {
                const struct rollcall_cell *cell = cell_of(type, state, message);
                CHECK(cell->to >> type->state_count == 0);
                CHECK(cell->handle != NULL || cell->to == 0);
            }
        }
    }
}

TEST(table, every_state_is_reached_by_an_arrow_or_is_where_a_life_begins)
{
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++) {
        const struct rollcall_actor_type *type = TYPES[i];
        for (int to = 1; to < type->state_count; to++) {
            bool reached = false;
            for (int state = 0; state < type->state_count; state++) {
                for (int message = 0; message < type->message_count; message++) {
                    reached |=
                        state != to && (cell_of(type, state, message)->to & ROLLCALL_TO(to)) != 0;
                }
            }
            CHECK(reached);
        }
    }
}
