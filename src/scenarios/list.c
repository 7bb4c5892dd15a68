/* The library's own scenarios: a cast and what it may do, a gang that crashes, a ballot, and an
 * estate. */
#include "scenarios/ballot.h"
#include "scenarios/cast.h"
#include "scenarios/estate.h"
#include "scenarios/gang.h"

/* All that a supervisor restarts. */
static const char *const MORTAL[] = {
    "auditor", "registration", "keepalive",    "liveness",    "departure", "allocator", "watcher",
    "hub",     "reflector",    "lease_keeper", "lease_share", "election",  NULL};

#define PLAY(name, ...)                                                                            \
    static void begin_##name(struct rollcall_world *world, void *state)                            \
    {                                                                                              \
        cast_begin(state, world, &(const struct cast_play){__VA_ARGS__});                          \
    }

PLAY(members, .processes = 2, .members = 3)
PLAY(watch, .processes = 2, .members = 3, .watches = 2, .leave = true)
PLAY(stop, .processes = 2, .members = 3, .leave = true, .mark = true)
PLAY(exclusive, .processes = 3, .members = 3, .watches = 1, .exclusive = true, .leave = true)
PLAY(shared, .processes = 2, .members = 6, .watches = 1, .leave = true, .mark = true, .share = true)
PLAY(slow, .processes = 2, .members = 4, .watches = 4, .mark = true, .leave = true, .slow = true)
PLAY(admin, .processes = 2, .members = 3, .watches = 1, .mark = true, .evict = true, .leave = true)

PLAY(audit, .processes = 2, .members = 3, .watches = 2, .mark = true, .leave = true, .audit = true)

/* Mostly changes that etcd does not tell; of all else a little, for what comes of both. */
static const struct rollcall_fault_weight LOSSES[] = {
    {ROLLCALL_FAULT_LOSE_EVENT, 80},  {ROLLCALL_FAULT_CUT, 30},
    {ROLLCALL_FAULT_KILL, 30},        {ROLLCALL_FAULT_COMPACT, 30},
    {ROLLCALL_FAULT_CRASH, 30},       {ROLLCALL_FAULT_STALL, 20},
    {ROLLCALL_FAULT_ISOLATE, 20},     {ROLLCALL_FAULT_LEADER, 20},
    {ROLLCALL_FAULT_PAUSE, 20},       {ROLLCALL_FAULT_DELAY, 20},
    {ROLLCALL_FAULT_STRANGER, 30},    {ROLLCALL_FAULT_REVOKE, 20},
    {ROLLCALL_FAULT_FULL, 20},        {ROLLCALL_FAULT_MEMORY, 20},
    {ROLLCALL_FAULT_LOSE_ANSWER, 10}, {ROLLCALL_FAULT_LOSE_REQUEST, 10},
    {ROLLCALL_FAULT_UNREACH, 20},     {ROLLCALL_FAULT_COUNT, 0}};

PLAY(outage, .processes = 2, .members = 3, .outage = true)

/* Mostly members in trouble; of all else a little, for what comes of both. */
static const struct rollcall_fault_weight OUTAGES[] = {
    {ROLLCALL_FAULT_STALL, 60},        {ROLLCALL_FAULT_UNREACH, 50},    {ROLLCALL_FAULT_KILL, 50},
    {ROLLCALL_FAULT_ISOLATE, 50},      {ROLLCALL_FAULT_MUTE, 40},       {ROLLCALL_FAULT_CUT, 25},
    {ROLLCALL_FAULT_LEADER, 25},       {ROLLCALL_FAULT_TOKEN, 10},      {ROLLCALL_FAULT_DELAY, 3},
    {ROLLCALL_FAULT_LOSE_REQUEST, 3},  {ROLLCALL_FAULT_LOSE_ANSWER, 3}, {ROLLCALL_FAULT_PAUSE, 3},
    {ROLLCALL_FAULT_REPEAT_ANSWER, 3}, {ROLLCALL_FAULT_CRASH, 3},       {ROLLCALL_FAULT_FULL, 3},
    {ROLLCALL_FAULT_MEMORY, 3},        {ROLLCALL_FAULT_COUNT, 0}};

/* Mostly what is in a sentinel's way, or makes a lease live for longer, and few of them at once:
 * each excuses what is late for a while, and a stranger nearly everything. */
static const struct rollcall_fault_weight HINDRANCES[] = {
    {ROLLCALL_FAULT_LEADER, 40},        {ROLLCALL_FAULT_STALL, 30},
    {ROLLCALL_FAULT_UNREACH, 25},       {ROLLCALL_FAULT_LOSE_REQUEST, 35},
    {ROLLCALL_FAULT_LOSE_ANSWER, 35},   {ROLLCALL_FAULT_KILL, 80},
    {ROLLCALL_FAULT_MEMORY, 35},        {ROLLCALL_FAULT_ISOLATE, 20},
    {ROLLCALL_FAULT_CUT, 15},           {ROLLCALL_FAULT_TOKEN, 15},
    {ROLLCALL_FAULT_CRASH, 40},         {ROLLCALL_FAULT_FULL, 15},
    {ROLLCALL_FAULT_PAUSE, 10},         {ROLLCALL_FAULT_DELAY, 8},
    {ROLLCALL_FAULT_SUSPEND, 5},        {ROLLCALL_FAULT_WALL, 5},
    {ROLLCALL_FAULT_COMPACT, 5},        {ROLLCALL_FAULT_REVOKE, 10},
    {ROLLCALL_FAULT_STRANGER, 10},      {ROLLCALL_FAULT_MUTE, 5},
    {ROLLCALL_FAULT_REPEAT_REQUEST, 5}, {ROLLCALL_FAULT_REPEAT_ANSWER, 5},
    {ROLLCALL_FAULT_COUNT, 0}};

static void act(struct rollcall_world *world, void *state)
{
    (void)world;
    cast_act(state);
}

static void settled(struct rollcall_world *world, void *state)
{
    (void)world;
    cast_at_rest(state);
}

static void heal(struct rollcall_world *world, void *state)
{
    (void)world;
    cast_heal(state);
}

static void end(struct rollcall_world *world, void *state)
{
    (void)world;
    cast_end(state);
}

#define SCENARIO(word, processes, text)                                                            \
    ROLLCALL_SCENARIO(.name = #word, .about = text, .workers = 2 * (processes),                    \
                      .state_size_bytes = sizeof(struct cast), .mortal = MORTAL,                   \
                      .begin = begin_##word, .act = act, .settled = settled, .heal = heal,         \
                      .end = end)
static const char *const HANDS[] = {"hand", NULL};
static const struct rollcall_scenario SCENARIOS[] = {
    SCENARIO(members, 2, "sessions of two processes stay members, or say that they are not"),
    SCENARIO(watch, 2, "watches tell every change of sessions that come and go"),
    SCENARIO(stop, 2, "sessions are marked, stopped, revoked, restarted and closed at any moment"),
    SCENARIO(exclusive, 3, "three processes want one key"),
    SCENARIO(admin, 2, "sessions are marked and revoked by others"),
    SCENARIO(shared, 2, "sessions share the lease of their process, and come and go"),
    SCENARIO(slow, 2, "watches are read now and then, and lag"),
    ROLLCALL_SCENARIO(.name = "supervisor",
                      .about = "actors crash, and their supervisor knows when "
                               "it is enough",
                      .heal_ms = 5000, .state_size_bytes = sizeof(struct gang), .mortal = HANDS,
                      .begin = gang_begin, .end = gang_end),
    ROLLCALL_SCENARIO(.name = "outage",
                      .about = "of three members of etcd one is in trouble, and no lease suffers",
                      .workers = 4, .members = 3, .state_size_bytes = sizeof(struct cast),
                      .mortal = MORTAL, .faults = OUTAGES, .outages = true, .begin = begin_outage,
                      .act = act, .settled = settled, .heal = heal, .end = end),
    ROLLCALL_SCENARIO(.name = "audit",
                      .about = "etcd does not tell all that has changed, and watches notice",
                      .workers = 4, .heal_ms = 90000, .state_size_bytes = sizeof(struct cast),
                      .mortal = MORTAL, .faults = LOSSES, .begin = begin_audit, .act = act,
                      .settled = settled, .heal = heal, .end = end),
    ROLLCALL_SCENARIO(.name = "election",
                      .about = "sessions of three processes stand for one role, and one of them "
                               "acts",
                      .workers = 6, .state_size_bytes = sizeof(struct ballot), .mortal = MORTAL,
                      .begin = ballot_begin, .act = ballot_act, .check = ballot_check,
                      .settled = ballot_settled, .heal = ballot_heal, .end = ballot_end),
    ROLLCALL_SCENARIO(.name = "sentinel",
                      .about = "processes die without a farewell, and sentinels revoke what they "
                               "held",
                      .workers = 8, .state_size_bytes = sizeof(struct estate), .mortal = MORTAL,
                      .faults = HINDRANCES, .outages = true, .begin = estate_begin,
                      .act = estate_act, .check = estate_check, .settled = estate_settled,
                      .heal = estate_heal, .end = estate_end),
};

const struct rollcall_scenario *rollcall_scenario_at(size_t index)
{
    return index < sizeof SCENARIOS / sizeof SCENARIOS[0] ? &SCENARIOS[index] : NULL;
}
