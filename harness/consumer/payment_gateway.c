/* payment-gateway: orders are paid under idempotency keys (field report, F1).
 *
 * Each key is one order of one user (ks_context), sent to the gateway as a charge under that key when the key returns.
 *
 * The gateway charges the first request with a key and remembers the key for `remembers` of true time. Any further
 * request with it within that time is taken for a repetition: nothing is charged, the answer is that of the first.
 * Later ones are charged as new. `confirms` after a charge it confirms the charge by its key, as a webhook does.
 *
 * The order service files its open orders by key, so a second order under a key takes the place of the first. What the
 * gateway says of a key is held against the user of the order that is filed under it.
 *
 *   swallowed order   The second order's answer is the first one's. If both are of one user nothing looks wrong: the
 * order counts as paid, and never is. If the users differ the answer is a failure, and the order is tried again: under
 * the same key the gateway says the same for ever, and the order is never paid; under a new key it is paid, once.
 *   double charge     The first order was charged. If the second took its place before the confirmation, nobody
 * confirms the first: it is tried again. Under the same key the gateway answers from memory, and nothing is charged;
 *                     under a new key the same order is charged a second time.
 *
 * So the duplicate key itself suppresses a payment, and the retry under a new key is what charges twice. New keys of
 * retries are taken as unique: what they would do beyond that is not counted. A failed request is not modelled. */
#include <stdbool.h>
#include <stdlib.h>

#include "ks_consumer.h"
#include "ks_mem.h"

enum { SAME_KEY, NEW_KEY };
enum { DOUBLE_CHARGES, SWALLOWED_ORDERS };

struct cfg {
	int64_t retry, remembers_ns, confirms_ns;
};

static const char *const retries[] = {"same-key", "new-key", NULL};
static const struct ks_opt opts[] = {
	{"retry", KS_OPT_WORD, offsetof(struct cfg, retry), 0, 0, "same-key",
	 "the key under which a failed payment is tried again", retries, 0},
	{"remembers", KS_OPT_DUR, offsetof(struct cfg, remembers_ns), 0, 3650 * KS_DAY, "24h",
	 "how long the gateway knows a key", NULL, 0},
	{"confirms", KS_OPT_DUR, offsetof(struct cfg, confirms_ns), 0, 3650 * KS_DAY, "2s",
	 "how long after a charge its confirmation comes", NULL, 0},
	{0},
};
static const char *const damages[] = {"double_charges", "swallowed_orders", NULL};

static int by_key(const void *pa, const void *pb, void *context)
{
	const struct ks_evidence *e = context;
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
	int c = ks_key_cmp(ks_order(e, a), ks_order(e, b));
	return c ? c : (a > b) - (a < b);
}

static int64_t user_of(const struct ks_evidence *e, uint32_t row)
{
	struct ks_record r = ks_record_get(e->records, row);
	return ks_context(e->plan, e->seed, &e->records->lanes[r.lane], r.seq).user;
}

/* The orders of one key, in the order in which the gateway sees them. */
static void one_key(const struct cfg *cfg, const struct ks_evidence *e, const uint32_t *row, size_t n, int64_t *values)
{
	uint32_t charged = row[0];
	bool replaced = false; /* another order is filed under its key before its confirmation */
	for (size_t i = 1; i < n; i++) {
		int64_t after_ns = ks_record_get(e->records, row[i]).return_ns - ks_record_get(e->records, charged).return_ns;
		if (after_ns >= cfg->remembers_ns) {
			charged = row[i];
			replaced = false;
			continue;
		}
		if (cfg->retry == SAME_KEY || user_of(e, row[i]) == user_of(e, charged))
			values[SWALLOWED_ORDERS]++;
		if (cfg->retry == NEW_KEY && after_ns < cfg->confirms_ns && !replaced) {
			replaced = true;
			values[DOUBLE_CHARGES]++;
		}
	}
}

static int consume(const void *config, const struct ks_evidence *e, int64_t *values, struct ks_err *err)
{
	const struct cfg *cfg = config;
	uint32_t *row = ks_alloc(e->records->n, sizeof *row);
	size_t n = 0;
	if (!row)
		return ks_fail(err, KS_E_INTERNAL, "out of memory for %zu orders", e->records->n);
	for (size_t i = 0; i < e->records->n; i++)
		if (ks_record_get(e->records, i).outcome == KS_KEY)
			row[n++] = (uint32_t)i;
	qsort_r(row, n, sizeof *row, by_key, (void *)(uintptr_t)e);
	values[DOUBLE_CHARGES] = values[SWALLOWED_ORDERS] = 0;
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && ks_key_equal(ks_order(e, row[i]), ks_order(e, row[end]));)
			end++;
		one_key(cfg, e, &row[i], end - i, values);
	}
	ks_free(row);
	return 0;
}

extern const struct ks_consumer ks_consumer_payment_gateway;
const struct ks_consumer ks_consumer_payment_gateway = {
	.name = "payment-gateway",
	.title = "orders paid under idempotency keys: charged twice, or never",
	.opts = opts,
	.cfg_size = sizeof(struct cfg),
	.damages = damages,
	.consume = consume,
};
