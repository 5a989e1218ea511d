#include "fault_clocks.h"

#define BIT(id) (1u << (id))
#define ALL_CLOCKS ((1u << KS_NCLOCKS) - 1)

unsigned ks_fault_affects(const struct ks_fault_event *e)
{
	switch (e->op) {
	case KS_FAULT_STEP:
		return BIT(KS_REALTIME) | BIT(KS_TAI);
	case KS_FAULT_TO_TRUE:
		return BIT(KS_REALTIME) | BIT(KS_TAI);
	case KS_FAULT_LEAP:
	case KS_FAULT_ARM_LEAP:
		return BIT(KS_REALTIME);
	case KS_FAULT_UP: /* tai is no longer ahead, the others begin at 0 */
		return e->amount & KS_RESTART_NODE ? ALL_CLOCKS & ~BIT(KS_TAI) : 0;
	case KS_FAULT_SLEW:
	case KS_FAULT_SMEAR:
		return ALL_CLOCKS & ~BIT(KS_RAW);
	case KS_FAULT_DRIFT:
	case KS_FAULT_CLONE:
		return ALL_CLOCKS;
	case KS_FAULT_HOLD:
	case KS_FAULT_RELEASE:
	case KS_FAULT_COARSE:
		return (unsigned)e->amount;
	case KS_FAULT_SUSPEND:
	case KS_FAULT_RESUME: /* those that do not simply run on */
		if (e->amount == KS_SUSPEND_S3)
			return BIT(KS_MONOTONIC) | BIT(KS_RAW) | (e->extra ? BIT(KS_REALTIME) | BIT(KS_BOOTTIME) | BIT(KS_TAI) : 0);
		return e->amount == KS_SUSPEND_VM_STOP ? ALL_CLOCKS : 0;
	default:
		return 0;
	}
}

void ks_fault_on_clocks(struct ks_clocks *c, const struct ks_fault_event *e, int64_t t_ns)
{
	int64_t last = c->seg[KS_REALTIME].t0_ns;

	t_ns = t_ns < last ? last : t_ns;
	switch (e->op) {
	case KS_FAULT_STEP:
		ks_clocks_step(c, t_ns, e->amount);
		break;
	case KS_FAULT_LEAP:
		ks_clocks_leap(c, t_ns, e->amount < 0);
		break;
	case KS_FAULT_DRIFT:
		ks_clocks_drift(c, t_ns, e->amount);
		break;
	case KS_FAULT_SLEW:
		ks_clocks_slew(c, t_ns, e->amount);
		break;
	case KS_FAULT_SMEAR:
		ks_clocks_bend(c, t_ns, e->extra ? ks_rate_over(e->amount, e->extra) : 0);
		break;
	case KS_FAULT_COARSE:
		ks_clocks_coarse(c, (unsigned)e->amount, e->extra);
		break;
	case KS_FAULT_RTC:
		ks_clocks_set_rtc(c, t_ns, e->amount);
		break;
	case KS_FAULT_UP:
		ks_clocks_boot(c, t_ns);
		break;
	case KS_FAULT_HOLD:
		ks_clocks_hold(c, t_ns, (unsigned)e->amount);
		break;
	case KS_FAULT_RELEASE:
		ks_clocks_release(c, t_ns, (unsigned)e->amount);
		break;
	case KS_FAULT_SUSPEND:
		ks_clocks_suspend(c, t_ns, (enum ks_suspend)e->amount);
		break;
	case KS_FAULT_RESUME:
		ks_clocks_resume(c, t_ns, (enum ks_suspend)e->amount, e->extra);
		break;
	default:
		break;
	}
}
