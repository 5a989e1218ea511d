#include "ks_clock.h"

#include "ks_time.h"

const char *const ks_clock_names[KS_NCLOCKS] = {"realtime", "monotonic", "raw", "boottime", "tai"};

#define ALL ((1u << KS_NCLOCKS) - 1)
#define BIT(id) (1u << (id))

int64_t ks_rate_q64(int64_t ppb)
{
	/* rounded up: the product with dt is rounded down, so 100 ppm of 10 s is 1 ms and not 1 ns less */
	return (int64_t)(((__int128)ppb * ((__int128)1 << 64) + (ppb > 0 ? KS_SEC - 1 : 0)) / KS_SEC);
}

int64_t ks_rate_over(int64_t delta_ns, int64_t length_ns)
{
	/* rounded up, so that what the product with the length loses is less than what rounding added */
	__int128 wide = (__int128)delta_ns * ((__int128)1 << 64);
	return (int64_t)(wide / length_ns + (wide % length_ns > 0));
}

/* The least multiple of the tick that is not below v. */
static int64_t next_tick(int64_t v, int64_t tick_ns)
{
	int64_t over = v % tick_ns;
	return over > 0 ? v - over + tick_ns : v - over;
}

int64_t ks_seg_when(const struct ks_seg *s, int64_t from_ns, int64_t value_ns)
{
	if (ks_seg_at(s, from_ns) >= value_ns)
		return from_ns;
	if (s->held)
		return INT64_MAX;
	if (s->tick_ns)
		value_ns = next_tick(value_ns, s->tick_ns);
	/* value(t) = v0 + (dt * (2^64 + rate) + frac) / 2^64, rounded down: invert without frac, then settle the rounding */
	__int128 rate = ((__int128)1 << 64) + s->rate_q64;
	__int128 missing = (__int128)value_ns - s->v0_ns;
	__int128 whole = missing / rate, rest = missing % rate; /* missing < 2^64, rate > 2^63: whole is 0 or 1 */
	__int128 dt = whole << 64;
	for (int bit = 63; bit >= 0; bit--) { /* dt += floor(rest * 2^64 / rate): long division, as 128 bits do not hold it */
		rest <<= 1;
		if (rest >= rate) {
			rest -= rate;
			dt += (__int128)1 << bit;
		}
	}
	if (dt + s->t0_ns > INT64_MAX - 2)
		return INT64_MAX;
	int64_t t = s->t0_ns + (int64_t)dt - 2; /* frac is less than a ns, which even the slowest clock does in two */
	if (t < from_ns)
		t = from_ns;
	while (ks_seg_line(s, t) < value_ns)
		t++;
	return t;
}

/* Starts a new segment of every clock of the mask at the value that it has. */
static void split(struct ks_clocks *c, int64_t t, unsigned mask)
{
	for (int id = 0; id < KS_NCLOCKS; id++) {
		struct ks_seg *s = &c->seg[id];
		if (!(mask & BIT(id)))
			continue;
		if (!s->held) {
			__int128 bent = (__int128)(t - s->t0_ns) * s->rate_q64 + s->frac_q64;
			s->v0_ns += t - s->t0_ns + (int64_t)(bent >> 64);
			s->frac_q64 = (uint64_t)bent;
		}
		s->t0_ns = t;
	}
}

static void set_rates(struct ks_clocks *c, int64_t t)
{
	int64_t drift = ks_rate_q64(c->drift_ppb), slew = c->slew_q64 + c->keeper_q64;
	/* (1 + drift)(1 + slew) - 1 */
	int64_t both = drift + slew + (int64_t)(((__int128)drift * slew) >> 64);
	split(c, t, ALL);
	for (int id = 0; id < KS_NCLOCKS; id++)
		c->seg[id].rate_q64 = id == KS_RAW ? drift : both;
}

void ks_clocks_init(struct ks_clocks *c, int64_t unix_ns, int64_t offset_ns, int64_t uptime_ns, int64_t tai_offset_s)
{
	*c = (struct ks_clocks){0};
	for (int id = 0; id < KS_NCLOCKS; id++)
		c->seg[id].v0_ns = uptime_ns;
	c->seg[KS_REALTIME].v0_ns = unix_ns + offset_ns;
	c->seg[KS_TAI].v0_ns = unix_ns + offset_ns + tai_offset_s * KS_SEC;
	c->rtc.v0_ns = unix_ns + offset_ns;
}

static void move(struct ks_clocks *c, int64_t t, unsigned mask, int64_t delta)
{
	split(c, t, mask);
	for (int id = 0; id < KS_NCLOCKS; id++)
		if (mask & BIT(id))
			c->seg[id].v0_ns += delta;
}

void ks_clocks_step(struct ks_clocks *c, int64_t t_ns, int64_t delta_ns)
{
	move(c, t_ns, BIT(KS_REALTIME) | BIT(KS_TAI), delta_ns);
}

void ks_clocks_leap(struct ks_clocks *c, int64_t t_ns, int insert)
{
	move(c, t_ns, BIT(KS_REALTIME), insert ? -KS_SEC : KS_SEC);
}

void ks_clocks_drift(struct ks_clocks *c, int64_t t_ns, int64_t drift_ppb)
{
	c->drift_ppb = drift_ppb;
	set_rates(c, t_ns);
}

void ks_clocks_slew(struct ks_clocks *c, int64_t t_ns, int64_t slew_ppb)
{
	ks_clocks_bend(c, t_ns, ks_rate_q64(slew_ppb));
}

void ks_clocks_bend(struct ks_clocks *c, int64_t t_ns, int64_t slew_q64)
{
	c->slew_q64 = slew_q64;
	set_rates(c, t_ns);
}

void ks_clocks_keep(struct ks_clocks *c, int64_t t_ns, int64_t keeper_q64)
{
	c->keeper_q64 = keeper_q64;
	set_rates(c, t_ns);
}

void ks_clocks_coarse(struct ks_clocks *c, unsigned mask, int64_t tick_ns)
{
	for (int id = 0; id < KS_NCLOCKS; id++)
		if (mask & BIT(id))
			c->seg[id].tick_ns = tick_ns;
}

void ks_clocks_set_rtc(struct ks_clocks *c, int64_t t_ns, int64_t unix_ns)
{
	c->rtc.t0_ns = t_ns;
	c->rtc.v0_ns = unix_ns;
}

void ks_clocks_hold(struct ks_clocks *c, int64_t t_ns, unsigned mask)
{
	split(c, t_ns, mask);
	for (int id = 0; id < KS_NCLOCKS; id++)
		if (mask & BIT(id))
			c->seg[id].held = 1;
}

void ks_clocks_release(struct ks_clocks *c, int64_t t_ns, unsigned mask)
{
	split(c, t_ns, mask);
	for (int id = 0; id < KS_NCLOCKS; id++)
		if (mask & BIT(id))
			c->seg[id].held = 0;
}

static unsigned stopped_by(enum ks_suspend kind)
{
	switch (kind) {
	case KS_SUSPEND_S3:
		return BIT(KS_MONOTONIC) | BIT(KS_RAW);
	case KS_SUSPEND_VM_STOP:
		return ALL;
	case KS_SUSPEND_HOST_STOP: /* the guest's counter runs on: its next reading contains the whole stop */
		return 0;
	}
	return 0;
}

void ks_clocks_suspend(struct ks_clocks *c, int64_t t_ns, enum ks_suspend kind)
{
	c->asleep_ns = t_ns;
	c->rtc_asleep_ns = ks_seg_at(&c->rtc, t_ns);
	ks_clocks_hold(c, t_ns, stopped_by(kind));
}

void ks_clocks_resume(struct ks_clocks *c, int64_t t_ns, enum ks_suspend kind, int64_t wake_error_ns)
{
	ks_clocks_release(c, t_ns, stopped_by(kind));
	if (kind != KS_SUSPEND_S3)
		return;
	int64_t slept_ns = ks_seg_at(&c->rtc, t_ns) - c->rtc_asleep_ns;
	if (slept_ns < 0)
		slept_ns = 0;
	move(c, t_ns, BIT(KS_REALTIME) | BIT(KS_BOOTTIME) | BIT(KS_TAI), slept_ns - (t_ns - c->asleep_ns) + wake_error_ns);
}

void ks_clocks_boot(struct ks_clocks *c, int64_t t_ns)
{
	c->slew_q64 = c->keeper_q64 = 0; /* the corrections are lost, the oscillator is not */
	set_rates(c, t_ns);
	for (int id = 0; id < KS_NCLOCKS; id++) {
		struct ks_seg *s = &c->seg[id];
		s->held = s->tick_ns = 0;
		s->frac_q64 = 0;
		s->v0_ns = id == KS_REALTIME || id == KS_TAI ? ks_seg_at(&c->rtc, t_ns) : 0;
	}
}

void ks_clocks_restore(struct ks_clocks *c, const struct ks_clocks *saved, int64_t saved_at_ns, int64_t t_ns)
{
	struct ks_seg rtc = c->rtc;
	*c = *saved;
	c->rtc = rtc;
	for (int id = 0; id < KS_NCLOCKS; id++) /* what it shows depends on the time since t0 alone */
		c->seg[id].t0_ns += t_ns - saved_at_ns;
}
