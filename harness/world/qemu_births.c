/* The first deed of a machine that goes on from another: as its clone, put back to a snapshot, or booted anew. */
#include "qemu_deeds.h"

/* Where it was kept no calls were going on, and none begins before it knows how late it is: what its agent tells is right from then on. */
static int wake(struct ks_guest_play *p, struct ks_deed *d, struct ks_err *err)
{
	struct ks_wire_act act = {.kind = KS_ACT_BORN};
	struct ks_wire_acted acted;
	struct ks_vm_clocks c;

	if (ks_vm_clocks(p->vm, 4, &c, err) != 0)
		return -1;
	/* a clone that is late has no calls to make up for, and one that is early waits; a node that was put back has */
	if (d->kind == KS_DEED_BACK || ks_guest_play_since_of(p, c.host_raw_ns) < d->at_ns)
		act.until = p->start_ns + d->at_ns;
	d->value = act.amount = ks_guest_play_since_of(p, c.host_raw_ns) - (c.guest.raw_ns + (c.guest.raw_after_ns - c.guest.raw_ns) / 2 - p->start_ns);
	if (ks_vm_send(p->vm, KS_WIRE_ACT, &act, sizeof(act), err) != 0 ||
	    ks_vm_expect(p->vm, KS_WIRE_ACTED, &acted, sizeof(acted), ks_host_ns() + KS_GUEST_ANSWER_NS, err) != 0)
		return -1;
	d->after = ks_guest_play_since(p, &acted.after);
	return 0;
}

int ks_guest_play_born(struct ks_guest_play *p, int64_t start_ns, int64_t ahead_ns, const struct ks_guest_snapshot *of,
		       struct ks_err *err)
{
	struct ks_deed *d = p->deed;

	p->start_ns = start_ns;
	p->ahead_ns = ahead_ns;
	p->first = of->before;
	if (!p->deeds || (d->kind != KS_DEED_BORN && d->kind != KS_DEED_BACK))
		return ks_fail(err, KS_E_INTERNAL, "a machine that goes on, whose first fault is another");
	if (wake(p, d, err) != 0)
		return ks_fail_in(err, "fault '%s'", ks_guest_play_name_of(p, d));
	d->before = of->before;
	d->stood_ns = of->stood_ns;
	d->until_ns = d->at_ns;
	d->state = KS_DEED_DONE;
	p->next = 1;
	if (d->kind == KS_DEED_BORN)
		return ks_guest_play_late(p, d, of->stood_ns + d->value, err);
	bool runs = p->event[d->event].extra & KS_REVIVE_CLOCKS_RUN; /* and stood only while it was kept, and put back */
	d->gap_ns = KS_GUEST_CONT_TAKES_NS - KS_GUEST_STOP_TAKES_NS + (runs ? of->stood_for_ns + of->went_on_ns - of->stopped_ns : of->went_on_ns - of->stood_ns);
	return ks_guest_play_late(p, d, of->went_on_ns, err);
}

int ks_guest_play_booted(struct ks_guest_play *p, const struct ks_guest_play *before, int64_t launched_ns, int64_t rtc_ns,
			 struct ks_err *err)
{
	struct ks_deed *d = p->deed;

	if (!p->deeds || d->kind != KS_DEED_BOOT || !before->deeds)
		return ks_fail(err, KS_E_INTERNAL, "a machine that boots, whose first fault is another");
	p->launched_ns = launched_ns;
	p->rtc_ns = rtc_ns;
	d->before = before->deed[before->deeds - 1].after;
	d->after = p->first;
	d->state = KS_DEED_DONE;
	p->next = 1;
	return ks_guest_play_late(p, d, p->first.raw_ns, err);
}
