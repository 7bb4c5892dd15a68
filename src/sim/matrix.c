#include "sim/matrix.h"

/* The row of a type's first state, made when the type is new; NULL: there is no room for it. */
static struct rollcall_matrix_row *rows_of(struct rollcall_matrix *matrix,
                                           const struct rollcall_actor_type *type)
{
    for (size_t i = 0; i < matrix->row_count; i += matrix->rows[i].type->state_count) {
        if (matrix->rows[i].type == type) {
            return &matrix->rows[i];
        }
    }
    if (type->state_count > ROLLCALL_MATRIX_ROWS_MAX - matrix->row_count) {
        return NULL;
    }
    struct rollcall_matrix_row *rows = &matrix->rows[matrix->row_count];
    for (uint16_t state = 0; state < type->state_count; state++) {
        rows[state] = (struct rollcall_matrix_row){.type = type, .state = state};
    }
    matrix->row_count += type->state_count;
    return rows;
}

void rollcall__matrix_count(struct rollcall_matrix *matrix, const struct rollcall_runtime *rt,
                            enum rollcall_fault fault)
{
    for (uint32_t w = 0; w < rt->worker_count; w++) {
        const struct rollcall__worker *worker = &rt->workers[w];
        for (uint32_t slot = 0; slot < worker->slot_count; slot++) {
            const struct rollcall__actor *actor = worker->slots[slot].actor;
            if (actor == NULL || actor->phase != ROLLCALL__ACTOR_RUNNING) {
                continue;
            }
            struct rollcall_matrix_row *rows = rows_of(matrix, actor->type);
            if (rows == NULL) {
                matrix->left_out++;
            } else {
                rows[actor->state].met[fault]++;
            }
        }
    }
}
