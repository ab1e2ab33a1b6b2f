/*
 * inflow: receives a stream of bytes, and takes none that it could not pass on.
 *
 * Guarantees, owners and what may block: see stream.h.
 */
#ifndef FIFO_INFLOW_H
#define FIFO_INFLOW_H

#include "status.h"
#include "stream.h"

/*
 * Receives into `output`, until the last writer has closed or, with follow, for ever. Other receivers are
 * kept out from the first byte to the end. Status 0 at the end; 1 (nothing there) and 124 as receiver.h has
 * them, 4 if the deadline came in the middle, 2 if `output` fails: then what it did not take stays in the
 * mailbox.
 */
struct verdict inflow(struct stream *stream, const char *path, int output);

#endif
