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

#include "ks_consumer.h"

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
static const struct ks_damage damages[] = {
	{"double_charges", "orders that were charged twice"},
	{"swallowed_orders", "orders that count as paid, or failed, and never are paid"},
	{0},
};

struct till {
	const struct cfg *cfg;
	const struct ks_evidence *e;
	struct ks_toll *toll;
};

/* The orders of one key, in the order in which the gateway sees them. */
static void one_key(void *context, const uint32_t *row, size_t n)
{
	const struct till *t = context;
	const struct cfg *cfg = t->cfg;
	uint32_t charged = row[0];
	bool replaced = false; /* another order is filed under its key before its confirmation */
	for (size_t i = 1; i < n; i++) {
		int64_t after_ns = ks_row_return(t->e, row[i]) - ks_row_return(t->e, charged);
		if (after_ns >= cfg->remembers_ns) {
			charged = row[i];
			replaced = false;
			continue;
		}
		if (cfg->retry == SAME_KEY || ks_row_context(t->e, row[i]).user == ks_row_context(t->e, charged).user)
			ks_harm(t->toll, SWALLOWED_ORDERS, row[i], charged, 1);
		if (cfg->retry == NEW_KEY && after_ns < cfg->confirms_ns && !replaced) {
			replaced = true;
			ks_harm(t->toll, DOUBLE_CHARGES, row[i], charged, 1);
		}
	}
}

static int consume(const void *config, const struct ks_evidence *e, struct ks_toll *toll, struct ks_err *err)
{
	struct till t = {config, e, toll};
	return ks_by_key(e, NULL, one_key, &t, err);
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
