#include "qemu_jumps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ks_mem.h"
#include "qemu_keeper.h"

#define EVERY_NS KS_MS

int ks_guest_jumps_ask(struct ks_vm *vm, const struct ks_plan *plan, struct ks_err *err)
{
	struct ks_wire_capture ask = {.every_ns = plan->capture.on ? EVERY_NS : 0, .stretch_ns = plan->capture.stretch_ns};

	return plan->capture.on || ks_guests_are_kept(plan) ? ks_vm_send(vm, KS_WIRE_CAPTURE, &ask, sizeof(ask), err) : 0;
}

/* Of a text from a guest; what cannot be shown becomes a dot. */
static void take_text(char *to, size_t size, const char *from, size_t n)
{
	size_t i = 0;

	for (; i + 1 < size && i < n && from[i]; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '.';
	to[i] = '\0';
}

static void note_missing(struct ks_run_output *o, const char *name)
{
	for (size_t i = 0; i < o->nmissing; i++)
		if (!strcmp(o->missing[i], name))
			return;
	if (o->nmissing < KS_JUMPS_MISSING)
		snprintf(o->missing[o->nmissing++], sizeof(o->missing[0]), "%s", name);
}

static int add(struct ks_run_output *o, const struct ks_jump *jump, struct ks_err *err)
{
	if (o->njump % 1024 == 0) {
		struct ks_jump *more = ks_alloc(o->njump + 1024, sizeof(*more));
		if (!more)
			return ks_fail(err, KS_E_INTERNAL, "out of memory");
		if (o->njump)
			memcpy(more, o->jump, o->njump * sizeof(*more));
		ks_free(o->jump);
		o->jump = more;
	}
	o->jump[o->njump++] = *jump;
	return 0;
}

static int take_one(struct ks_run_output *o, uint32_t node, int64_t start_ns, int64_t from_ns, const struct ks_wire_jump *w, struct ks_err *err)
{
	struct ks_jump j = {.at_ns = w->at_ns - start_ns, .delta_ns = w->delta_ns, .node = node, .layer = w->layer, .pid = w->pid, .ret = w->ret};
	char name[sizeof(w->name)];

	take_text(name, sizeof(name), w->name, sizeof(w->name));
	take_text(j.name, sizeof(j.name), name, sizeof(name));
	take_text(j.command, sizeof(j.command), w->command, sizeof(w->command));
	switch (w->layer) {
	case KS_JUMP_READY:
		o->captured = true;
		return 0;
	case KS_JUMP_FAILED:
		snprintf(o->no_capture, sizeof(o->no_capture), "%s", name);
		return 0;
	case KS_JUMP_MISSING:
		note_missing(o, j.name);
		return 0;
	case KS_JUMP_LOST:
		o->jumps_lost += w->arg;
		return 0;
	default:
		return w->at_ns < from_ns ? 0 : add(o, &j, err);
	}
}

int ks_guest_jumps_take(struct ks_vm *vm, uint32_t node, int64_t start_ns, int64_t from_ns, const void *payload, uint32_t length, struct ks_run_output *o,
			struct ks_err *err)
{
	struct ks_wire_jump w;

	if (length % sizeof(w))
		return ks_vm_fail(vm, err, "guest sent clock jumps that are cut short");
	for (uint32_t at = 0; at < length; at += sizeof(w)) {
		memcpy(&w, (const char *)payload + at, sizeof(w));
		if (!w.layer || w.layer > KS_JUMP_READY || o->njump >= (size_t)KS_WIRE_JUMPS_MAX * 4)
			return ks_vm_fail(vm, err, "guest sent a clock jump that is none");
		if (take_one(o, node, start_ns, from_ns, &w, err) != 0)
			return -1;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct ks_jump *x = a, *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns ? -1 : 1;
	return strcmp(x->name, y->name);
}

void ks_guest_jumps_sort(struct ks_run_output *o)
{
	if (o->njump)
		qsort(o->jump, o->njump, sizeof(*o->jump), compare);
}
