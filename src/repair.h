/*
 * repair: finds out again, from the log, what `.state` should say, after a kill, a power loss or damage.
 *
 * Only who may read and write the log can. Takes the locks TAKE and STORE, in that order; the caller holds
 * neither. What is whole stays, and is counted exactly; what is torn is cut off, if it was never
 * acknowledged, or becomes a filler, a record that is done; only then is it counted as damaged.
 */
#ifndef FIFO_REPAIR_H
#define FIFO_REPAIR_H

#include "queue.h"

/* Whether `.state` and the log, of `size` bytes, agree. To be asked by who holds STORE. */
bool repair_is_needed(const struct queue *queue, uint64_t size);

/*
 * Repairs if there is need, or if `deep` in any case. Status 0 also if there was nothing to do; 5 if both
 * headers are damaged; 2 with errno.
 */
struct verdict repair(struct queue *queue, bool deep);

/* The same for who holds both locks already. */
struct verdict repair_locked(struct queue *queue, bool deep);

#endif
