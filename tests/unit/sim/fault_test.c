/* Which fault happens when: what a plan may say, and that no draw depends on another. */
#include "sim/fault.h"
#include "support/test.h"

#include <stdlib.h>

enum { SEEDS = 20, OPPORTUNITIES = 2000 };

struct read_plan {
    struct rollcall__fault_plan plan;
    struct rollcall__fault_at *script;
    struct rollcall_error error;
};

static enum rollcall_status read_plan(struct read_plan *read, const char *text)
{
    *read = (struct read_plan){.script = NULL};
    return rollcall__fault_plan_parse(text, &read->plan, &read->script, &read->error);
}

/* ---- text ---- */

TEST(fault, rates_are_read_for_the_faults_named_and_are_0_for_the_others)
{
    struct read_plan read;
    CHECK_INT(read_plan(&read, "cut=0.25,memory=1,delay=0"), ROLLCALL_OK);
    CHECK(!read.plan.scripted);
    for (int i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        const double wanted = i == ROLLCALL_FAULT_CUT ? 0.25 : i == ROLLCALL_FAULT_MEMORY ? 1 : 0;
        CHECK(read.plan.rates[i] == wanted);
    }
    free(read.script);
}

TEST(fault, a_script_is_read_in_its_order)
{
    struct read_plan read;
    CHECK_INT(read_plan(&read, "lose-answer@17,crash@203,cut@18446744073709551615"), ROLLCALL_OK);
    CHECK(read.plan.scripted);
    CHECK_INT(read.plan.script_count, 3);
    CHECK_INT(read.plan.script[0].fault, ROLLCALL_FAULT_LOSE_ANSWER);
    CHECK_INT(read.plan.script[0].nth, 17);
    CHECK_INT(read.plan.script[1].fault, ROLLCALL_FAULT_CRASH);
    CHECK_INT(read.plan.script[1].nth, 203);
    CHECK(read.plan.script[2].nth == UINT64_MAX);
    free(read.script);
}

TEST(fault, none_is_a_script_of_nothing)
{
    struct read_plan read;
    CHECK_INT(read_plan(&read, "none"), ROLLCALL_OK);
    CHECK(read.plan.scripted);
    CHECK_INT(read.plan.script_count, 0);
    free(read.script);
}

TEST(fault, every_name_is_read_and_said_in_words)
{
    for (int i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        struct read_plan read;
        char text[64];
        snprintf(text, sizeof text, "%s@3", rollcall_fault_name((enum rollcall_fault)i));
        CHECK_INT(read_plan(&read, text), ROLLCALL_OK);
        CHECK_INT(read.plan.script[0].fault, i);
        CHECK(strlen(rollcall_fault_about((enum rollcall_fault)i)) > 10);
        free(read.script);
    }
    CHECK_STR(rollcall_fault_name(ROLLCALL_FAULT_COUNT), "");
}

TEST(fault, what_cannot_be_read_is_refused_with_the_words_at_fault)
{
    static const struct {
        const char *text, *named;
    } BAD[] = {
        {"cot=0.1", "\"cot=0.1\""},
        {"cut", "\"cut\""},
        {"cut=", "\"cut=\""},
        {"cut=1.5", "\"cut=1.5\""},
        {"cut=-0.1", "\"cut=-0.1\""},
        {"cut=nan", "\"cut=nan\""},
        {"cut=0.1x", "\"cut=0.1x\""},
        {"cut@0", "\"cut@0\""},
        {"cut@", "\"cut@\""},
        {"cut@-1", "\"cut@-1\""},
        {"cut@ 1", "\"cut@ 1\""},
        {"cut@1.5", "\"cut@1.5\""},
        {"cut@18446744073709551616", "@1844"},
        {"cut@1,kill=0.1", "\"kill=0.1\""},
        {"kill=0.1,cut@1", "\"cut@1\""},
        {"cut@1,none", "\"none\""},
        {",cut@1", "\"\""},
        {"cut@1,,cut@2", "\"\""},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct read_plan read;
        const enum rollcall_status status = read_plan(&read, BAD[i].text);
        if (status != ROLLCALL_E_INVALID || strstr(read.error.text, BAD[i].named) == NULL) {
            CHECK_STR(read.error.text, BAD[i].text);
        }
        CHECK(read.script == NULL);
    }
}

/* ---- draws ---- */

static void take_all(struct rollcall__faults *faults, uint64_t seed,
                     const struct rollcall__fault_plan *plan,
                     bool taken[ROLLCALL_FAULT_COUNT][OPPORTUNITIES])
{
    rollcall__faults_init(faults, seed, plan);
    faults->off = false;
    for (int n = 0; n < OPPORTUNITIES; n++) {
        for (int i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
            taken[i][n] = rollcall__fault(faults, (enum rollcall_fault)i);
        }
    }
}

static bool first[ROLLCALL_FAULT_COUNT][OPPORTUNITIES], second[ROLLCALL_FAULT_COUNT][OPPORTUNITIES];

TEST(fault, the_same_seed_gives_the_same_answers_and_another_seed_others)
{
    struct rollcall__fault_plan plan, again;
    struct rollcall__faults faults;
    int different = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        rollcall__fault_plan_draw(&plan, seed, NULL);
        rollcall__fault_plan_draw(&again, seed, NULL);
        CHECK(memcmp(&plan, &again, sizeof plan) == 0);
        plan.rates[ROLLCALL_FAULT_CUT] = 0.05; /* some mixes are empty */
        take_all(&faults, seed, &plan, first);
        take_all(&faults, seed, &plan, second);
        CHECK(memcmp(first, second, sizeof first) == 0);
        take_all(&faults, seed + SEEDS, &plan, second);
        different += memcmp(first, second, sizeof first) != 0;
    }
    CHECK_INT(different, SEEDS);
}

TEST(fault, a_scenario_s_list_is_all_that_its_seeds_draw_each_as_often_as_it_says)
{
    static const struct rollcall_fault_weight WEIGHTS[] = {
        {ROLLCALL_FAULT_STALL, 100}, {ROLLCALL_FAULT_MUTE, 25}, {ROLLCALL_FAULT_COUNT, 0}};
    enum { MANY = 2000 };
    int drawn[ROLLCALL_FAULT_COUNT] = {0}, common[ROLLCALL_FAULT_COUNT] = {0};
    for (uint64_t seed = 1; seed <= MANY; seed++) {
        struct rollcall__fault_plan weighted, plain;
        rollcall__fault_plan_draw(&weighted, seed, WEIGHTS);
        rollcall__fault_plan_draw(&plain, seed, NULL);
        for (int i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
            drawn[i] += weighted.rates[i] > 0;
            common[i] += plain.rates[i] > 0;
        }
    }
    for (int i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        CHECK(drawn[i] == 0 || i == ROLLCALL_FAULT_STALL || i == ROLLCALL_FAULT_MUTE);
        CHECK((common[i] == 0) == (i >= ROLLCALL_FAULT_UNREACH)); /* the ones that came later */
    }
    CHECK_INT(drawn[ROLLCALL_FAULT_STALL], MANY);
    CHECK(drawn[ROLLCALL_FAULT_MUTE] > MANY / 5 && drawn[ROLLCALL_FAULT_MUTE] < 3 * MANY / 10);
}

TEST(fault, one_fault_more_or_less_changes_no_other)
{
    struct rollcall__fault_plan all = {.scripted = false}, without;
    struct rollcall__faults faults;
    for (int i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        all.rates[i] = 0.05;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const uint64_t left_out = seed % ROLLCALL_FAULT_COUNT;
        without = all;
        without.rates[left_out] = 0;
        take_all(&faults, seed, &all, first);
        take_all(&faults, seed, &without, second);
        CHECK_INT(faults.taken[left_out], 0);
        for (uint64_t i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
            CHECK(i == left_out || memcmp(first[i], second[i], sizeof first[i]) == 0);
        }
    }
}

/* How each lasts, and whom it strikes, must not change either when the rates become a script. */
TEST(fault, what_happened_by_rates_is_listed_and_happens_again_by_script)
{
    static struct rollcall__faults by_rates, by_script;
    struct rollcall__fault_plan rates = {.scripted = false};
    rates.rates[ROLLCALL_FAULT_CUT] = rates.rates[ROLLCALL_FAULT_PAUSE] = 0.02;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        take_all(&by_rates, seed, &rates, first);
        CHECK(by_rates.list_count > 20 && by_rates.list_count < ROLLCALL__FAULTS_TAKEN_MAX);
        const struct rollcall__fault_plan script = {
            .scripted = true, .script = by_rates.list, .script_count = by_rates.list_count};
        take_all(&by_script, seed, &script, second);
        CHECK(memcmp(first, second, sizeof first) == 0);
        CHECK_INT(by_script.list_count, by_rates.list_count);
        for (int draw = 0; draw < 5; draw++) {
            CHECK(rollcall__fault_draw(&by_rates, ROLLCALL_FAULT_CUT, 1000000) ==
                  rollcall__fault_draw(&by_script, ROLLCALL_FAULT_CUT, 1000000));
        }
    }
}

TEST(fault, a_script_that_drops_one_keeps_the_others_where_they_were)
{
    static struct rollcall__faults faults;
    const struct rollcall__fault_at script[] = {
        {ROLLCALL_FAULT_CUT, 2}, {ROLLCALL_FAULT_CUT, 9}, {ROLLCALL_FAULT_KILL, 5}};
    const struct rollcall__fault_plan whole = {
        .scripted = true, .script = script, .script_count = 3};
    const struct rollcall__fault_plan less = {
        .scripted = true, .script = script + 1, .script_count = 2};
    take_all(&faults, 1, &whole, first);
    CHECK(first[ROLLCALL_FAULT_CUT][1] && first[ROLLCALL_FAULT_CUT][8]);
    CHECK_INT(faults.list_count, 3);
    take_all(&faults, 1, &less, second);
    CHECK(!second[ROLLCALL_FAULT_CUT][1] && second[ROLLCALL_FAULT_CUT][8]);
    CHECK(second[ROLLCALL_FAULT_KILL][4]);
    CHECK_INT(faults.list_count, 2);
}

TEST(fault, a_rate_is_kept)
{
    static struct rollcall__faults faults;
    const struct rollcall__fault_plan plan = {
        .rates = {[ROLLCALL_FAULT_CUT] = 0.01, [ROLLCALL_FAULT_KILL] = 1}};
    uint64_t cuts = 0, kills = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        take_all(&faults, seed, &plan, first);
        cuts += faults.taken[ROLLCALL_FAULT_CUT];
        kills += faults.taken[ROLLCALL_FAULT_KILL];
    }
    CHECK(cuts > 300 && cuts < 500); /* of 40,000 */
    CHECK_INT(kills, SEEDS * OPPORTUNITIES);
}

TEST(fault, nothing_happens_and_nothing_is_counted_while_it_is_off)
{
    struct rollcall__faults faults;
    const struct rollcall__fault_plan plan = {.rates = {[ROLLCALL_FAULT_CUT] = 1}};
    rollcall__faults_init(&faults, 1, &plan);
    CHECK(!rollcall__fault(&faults, ROLLCALL_FAULT_CUT));
    CHECK_INT(faults.seen[ROLLCALL_FAULT_CUT], 0);
    faults.off = false;
    CHECK(rollcall__fault(&faults, ROLLCALL_FAULT_CUT));
    CHECK_INT(faults.seen[ROLLCALL_FAULT_CUT], 1);
}
