#include "ks_keeper.h"

#include "ks_rand.h"
#include "ks_time.h"

const char *const ks_keeper_names[KS_NKEEPERS] = {"none", "chrony", "ntpd", "timesyncd"};

#define NEVER INT64_MAX
#define FREQ_MAX_PPB INT64_C(500000)       /* of the kernel's loop and of ntpd's: 500 ppm (MAXFREQ, NTP_MAXFREQ) */
#define PHASE_MAX_NS (500 * KS_MS)         /* the kernel takes no larger offset (MAXPHASE) */
#define SLEW_MIN_NS KS_SEC                 /* chrony: MIN_SLEW_TIMEOUT */
#define SLEW_MAX_NS (10000 * KS_SEC)       /* chrony: MAX_SLEW_TIMEOUT */
#define CHRONY_FREQ_MAX_PPB INT64_C(90000000)
#define RTC_EVERY_NS (660 * KS_SEC)        /* the kernel writes a disciplined clock to the RTC every 11 minutes */

static int64_t size_of(int64_t v)
{
	return v < 0 ? -v : v;
}

static int64_t clamp(__int128 v, int64_t limit)
{
	return v > limit ? limit : v < -limit ? -limit : (int64_t)v;
}

/* log2 of the poll interval in seconds, rounded down. */
static int log_poll(const struct ks_keeper *k)
{
	return 63 - __builtin_clzll((unsigned long long)(k->desc->poll_ns / KS_SEC));
}

static void bend(struct ks_keeper *k, struct ks_clocks *c, int64_t t)
{
	ks_clocks_keep(c, t, k->freq_q64 + k->phase_q64);
}

static void set_freq(struct ks_keeper *k, __int128 freq_q64, int64_t limit_ppb)
{
	k->freq_q64 = clamp(freq_q64, ks_rate_q64(limit_ppb));
}

/* ppb x 2^16 as deviation x 2^64: ns of the offset a second are ppb. */
static int64_t of_ppb_q16(int64_t ppb_q16)
{
	return (int64_t)((__int128)ppb_q16 * (INT64_C(1) << 48) / KS_SEC);
}

/* ---- loops that hand out an offset second by second: the kernel's and ntpd's own ---- */

static bool is_kernel_loop(const struct ks_keeper *k)
{
	return k->desc->kind == KS_KEEPER_TIMESYNCD || (k->desc->step_ns && k->desc->step_ns <= PHASE_MAX_NS);
}

/* The kernel's time constant, in powers of two of seconds. */
static int time_constant(const struct ks_keeper *k)
{
	int poll = log_poll(k), tc = k->desc->kind == KS_KEEPER_TIMESYNCD ? poll - 4 : poll;
	return tc < 0 ? 0 : tc > 10 ? 10 : tc;
}

/* The share of the offset that the next second works off: 2^-(2 + tc) of it (kernel/time/ntp.c: SHIFT_PLL 2), or 1 / (16 x
 * poll) of it at 500 ppm at most (adj_host_clock: CLOCK_PLL 16). */
static void loop_second(struct ks_keeper *k, struct ks_clocks *c, int64_t t)
{
	int64_t share = is_kernel_loop(k) ? k->left_q16 / (INT64_C(4) << time_constant(k))
	                                  : clamp(k->left_q16 / (INT64_C(16) << log_poll(k)), FREQ_MAX_PPB << 16);
	if (size_of(k->left_q16) < INT64_C(1) << 16) /* less than a ns: done */
		share = k->left_q16 = 0;
	k->left_q16 -= share;
	k->phase_q64 = of_ppb_q16(share);
	k->turn_at_ns = k->left_q16 || share ? t + KS_SEC : NEVER;
	bend(k, c, t);
}

/* A new offset for the loop. The frequency moves by offset x time / (4 x time constant)^2, as a phase-locked loop's does. */
static void loop_update(struct ks_keeper *k, struct ks_clocks *c, int64_t t, int64_t offset_ns)
{
	int64_t since_s = (t - k->good_at_ns) / KS_SEC, most_s;
	int shift;
	if (is_kernel_loop(k)) {
		offset_ns = clamp(offset_ns, PHASE_MAX_NS);
		shift = 2 * (4 + time_constant(k));
		most_s = INT64_C(8) << time_constant(k);
	} else {
		offset_ns = clamp(offset_ns, KS_DAY); /* far more than it can work off until it asks again */
		shift = 2 * (6 + log_poll(k));
		most_s = 2048; /* the Allan intercept */
	}
	since_s = since_s > most_s ? most_s : since_s;
	/* ns x s / 2^shift is ppb */
	__int128 ppb_q16 = (__int128)offset_ns * since_s * 65536 / ((__int128)1 << shift);
	set_freq(k, k->freq_q64 + (__int128)of_ppb_q16(clamp(ppb_q16, FREQ_MAX_PPB << 17)), FREQ_MAX_PPB);
	k->left_q16 = offset_ns * (INT64_C(1) << 16);
	loop_second(k, c, t);
}

/* ---- acts ---- */

static struct ks_keeper_act step(struct ks_keeper *k, struct ks_clocks *c, int64_t t, int64_t offset_ns)
{
	k->left_q16 = k->phase_q64 = k->slew_ns = k->surprise_ns = 0;
	k->turn_at_ns = NEVER;
	bend(k, c, t);
	ks_clocks_step(c, t, offset_ns);
	return (struct ks_keeper_act){KS_KEEPER_STEPPED, offset_ns};
}

static struct ks_keeper_act slews(int64_t offset_ns)
{
	return (struct ks_keeper_act){offset_ns ? KS_KEEPER_SLEWS : KS_KEEPER_QUIET, offset_ns};
}

static struct ks_keeper_act ntpd(struct ks_keeper *k, struct ks_clocks *c, int64_t t, int64_t offset_ns)
{
	const struct ks_keeper_desc *d = k->desc;
	if (d->panic_ns && size_of(offset_ns) > d->panic_ns) {
		k->panicked = true;
		return (struct ks_keeper_act){KS_KEEPER_GAVE_UP, offset_ns};
	}
	if (d->step_ns && size_of(offset_ns) > d->step_ns) {
		bool first = !k->spike && k->updates > 1;
		k->spike = true;
		if (first || (k->updates > 1 && t - k->good_at_ns < d->stepout_ns))
			return (struct ks_keeper_act){KS_KEEPER_WAITS, offset_ns};
		k->spike = false;
		return step(k, c, t, offset_ns);
	}
	k->spike = false;
	loop_update(k, c, t, offset_ns);
	return slews(offset_ns);
}

static struct ks_keeper_act timesyncd(struct ks_keeper *k, struct ks_clocks *c, int64_t t, int64_t offset_ns)
{
	if (k->desc->step_ns && size_of(offset_ns) >= k->desc->step_ns)
		return step(k, c, t, offset_ns);
	loop_update(k, c, t, offset_ns);
	return slews(offset_ns);
}

/* How much of its slew chrony has done by t. */
static int64_t slewed(const struct ks_keeper *k, int64_t t)
{
	int64_t done_ns = t - k->slew_from_ns;
	if (!k->slew_ns || done_ns >= k->slew_len_ns)
		return k->slew_ns;
	return (int64_t)((__int128)k->slew_ns * done_ns / k->slew_len_ns);
}

static void start_slew(struct ks_keeper *k, struct ks_clocks *c, int64_t t, int64_t offset_ns)
{
	const struct ks_keeper_desc *d = k->desc;
	int64_t size = size_of(offset_ns), jitter_ns = d->jitter_ns > KS_US ? d->jitter_ns : KS_US;
	k->slew_from_ns = t;
	k->slew_ns = offset_ns;
	k->phase_q64 = 0;
	k->turn_at_ns = NEVER;
	if (size) {
		__int128 length = (__int128)3 * jitter_ns * d->poll_ns / 2 / size;
		length = length < SLEW_MIN_NS ? SLEW_MIN_NS : length > SLEW_MAX_NS ? SLEW_MAX_NS : length;
		__int128 least = ((__int128)size * KS_SEC + d->maxslew_ppb - 1) / d->maxslew_ppb;
		k->slew_len_ns = (int64_t)(length < least ? least : length);
		k->phase_q64 = ks_rate_over(offset_ns, k->slew_len_ns);
		k->turn_at_ns = t + k->slew_len_ns;
	}
	bend(k, c, t);
}

/* What two measurements in a row show beyond what the slew explains is an error of the frequency; what one shows is a step
 * that somebody made, or noise. */
static void learn_freq(struct ks_keeper *k, int64_t t, int64_t offset_ns)
{
	int64_t surprise = offset_ns - (k->slew_ns - slewed(k, t)), before = k->surprise_ns, since_ns = t - k->good_at_ns;
	k->surprise_ns = surprise;
	if ((surprise > 0) != (before > 0) || !surprise || !before || since_ns < KS_SEC)
		return;
	int64_t both = size_of(surprise) < size_of(before) ? surprise : before;
	if (size_of(both) > since_ns / 10)
		return;
	set_freq(k, k->freq_q64 + (__int128)ks_rate_over(both, since_ns), CHRONY_FREQ_MAX_PPB);
	k->surprise_ns -= both; /* explained from now on */
}

static struct ks_keeper_act chrony(struct ks_keeper *k, struct ks_clocks *c, int64_t t, int64_t offset_ns)
{
	const struct ks_keeper_desc *d = k->desc;
	learn_freq(k, t, offset_ns);
	if (d->step_ns && size_of(offset_ns) > d->step_ns && (d->limit < 0 || k->updates <= d->limit))
		return step(k, c, t, offset_ns);
	start_slew(k, c, t, offset_ns);
	return slews(offset_ns);
}

/* ---- polls ---- */

static void ask(struct ks_keeper *k, const struct ks_clocks *c, int64_t t)
{
	k->asked_ns = ks_clocks_at(c, KS_REALTIME, t);
	k->reply_at_ns = t + k->desc->delay_ns;
	k->poll_at_ns = t + k->desc->poll_ns;
}

/* Three draws within +-jitter add up to one of that root mean square. */
static int64_t draw_error(struct ks_keeper *k)
{
	int64_t sum = 0;
	for (int i = 0; i < 3; i++)
		sum += ks_rand_in(ks_rand_at(k->seed, KS_STREAM_KEEPER, k->node, k->draws++), -k->desc->jitter_ns, k->desc->jitter_ns);
	return sum;
}

static struct ks_keeper_act answer(struct ks_keeper *k, struct ks_clocks *c, int64_t t, int64_t source_unix_ns)
{
	/* the source stamped it in the middle of the way, the node at both ends */
	int64_t stamped = source_unix_ns - k->desc->delay_ns / 2 + k->desc->offset_ns + draw_error(k);
	int64_t now = ks_clocks_at(c, KS_REALTIME, t), own = k->asked_ns + (now - k->asked_ns) / 2;
	struct ks_keeper_act act = {KS_KEEPER_QUIET, 0};
	k->reply_at_ns = NEVER;
	k->updates++;
	switch (k->desc->kind) {
	case KS_KEEPER_CHRONY:
		act = chrony(k, c, t, stamped - own);
		break;
	case KS_KEEPER_NTPD:
		act = ntpd(k, c, t, stamped - own);
		break;
	case KS_KEEPER_TIMESYNCD:
		act = timesyncd(k, c, t, stamped - own);
		break;
	case KS_KEEPER_NONE:
	case KS_NKEEPERS:
		break;
	}
	if (act.did == KS_KEEPER_WAITS || act.did == KS_KEEPER_GAVE_UP)
		return act;
	k->good_at_ns = t;
	if (t - c->rtc.t0_ns >= RTC_EVERY_NS)
		ks_clocks_set_rtc(c, t, ks_clocks_at(c, KS_REALTIME, t));
	return act;
}

static void turn(struct ks_keeper *k, struct ks_clocks *c, int64_t t)
{
	if (k->desc->kind != KS_KEEPER_CHRONY) {
		loop_second(k, c, t);
		return;
	}
	k->phase_q64 = 0;
	k->turn_at_ns = NEVER;
	bend(k, c, t);
}

int64_t ks_keeper_next(const struct ks_keeper *k)
{
	if (!k->desc || k->desc->kind == KS_KEEPER_NONE || k->panicked)
		return NEVER;
	int64_t next = k->poll_at_ns < k->reply_at_ns ? k->poll_at_ns : k->reply_at_ns;
	return k->turn_at_ns < next ? k->turn_at_ns : next;
}

struct ks_keeper_act ks_keeper_run(struct ks_keeper *k, struct ks_clocks *c, int64_t t_ns, int64_t source_unix_ns)
{
	if (k->turn_at_ns <= t_ns)
		turn(k, c, t_ns);
	if (k->reply_at_ns <= t_ns)
		return answer(k, c, t_ns, source_unix_ns);
	if (k->poll_at_ns <= t_ns)
		ask(k, c, t_ns);
	return (struct ks_keeper_act){KS_KEEPER_QUIET, 0};
}

void ks_keeper_disturb(struct ks_keeper *k, int64_t t_ns)
{
	if (!k->desc || k->desc->kind != KS_KEEPER_TIMESYNCD)
		return;
	k->poll_at_ns = t_ns;
	k->reply_at_ns = NEVER; /* the question that is under way is forgotten */
}

void ks_keeper_resume(struct ks_keeper *k, int64_t t_ns, int64_t slept_ns)
{
	if (!k->desc || k->desc->kind == KS_KEEPER_NONE)
		return;
	k->reply_at_ns = NEVER; /* nobody was there to take it */
	k->poll_at_ns += slept_ns;
	if (k->turn_at_ns != NEVER)
		k->turn_at_ns += slept_ns;
	k->poll_at_ns = k->poll_at_ns < t_ns ? t_ns : k->poll_at_ns;
}

void ks_keeper_init(struct ks_keeper *k, const struct ks_keeper_desc *desc, struct ks_clocks *c, uint64_t seed, uint64_t node)
{
	*k = (struct ks_keeper){.desc = desc, .seed = seed, .node = node, .poll_at_ns = NEVER, .reply_at_ns = NEVER,
	                        .turn_at_ns = NEVER};
	if (desc->kind == KS_KEEPER_NONE)
		return;
	k->updates = 1000; /* a long time ago */
	k->poll_at_ns = desc->first_ns >= 0 ? desc->first_ns
	                                    : ks_rand_in(ks_rand_at(seed, KS_STREAM_KEEPER, node, k->draws++), 0, desc->poll_ns - 1);
	k->good_at_ns = k->poll_at_ns - desc->poll_ns;
	/* (1 + drift)(1 + freq) = 1 */
	k->freq_q64 = ks_rate_over(-c->drift_ppb, KS_SEC + c->drift_ppb);
	bend(k, c, 0);
}

void ks_keeper_boot(struct ks_keeper *k, struct ks_clocks *c, int64_t t_ns)
{
	if (!k->desc || k->desc->kind == KS_KEEPER_NONE)
		return;
	k->updates = k->left_q16 = k->phase_q64 = k->slew_ns = k->surprise_ns = 0;
	k->spike = k->panicked = false;
	k->reply_at_ns = k->turn_at_ns = NEVER;
	k->good_at_ns = k->poll_at_ns = t_ns;
	bend(k, c, t_ns);
}
