#include "ft.h"

#include <string.h>

#include "ks_mem.h"
#include "truetime.h"

/* So long before a step nothing else is begun: poll may come back a little late. */
#define READY_NS (2 * KS_MS)

int ks_ft_play_init(struct ks_ft_play *play, const struct ks_run_request *request, struct ks_err *err)
{
	struct ks_fault_event *events = NULL;
	uint32_t n = 0;

	*play = (struct ks_ft_play){0};
	if (request->control)
		return 0;
	if (ks_plan_events(request->plan, request->seed, &events, &n, err) != 0)
		return -1;
	play->step = ks_alloc(n ? n : 1, sizeof(*play->step));
	if (!play->step) {
		ks_free(events);
		return ks_fail(err, KS_E_INTERNAL, "out of memory");
	}
	play->n = n;
	for (uint32_t i = 0; i < n; i++)
		play->step[i].event = events[i];
	ks_free(events);
	return 0;
}

void ks_ft_play_release(struct ks_ft_play *play)
{
	ks_free(play->step);
	*play = (struct ks_ft_play){0};
}

int64_t ks_ft_play_due(const struct ks_ft_play *play)
{
	return play->next < play->n ? play->start_ns + play->step[play->next].event.at_ns : INT64_MAX;
}

static int late(const struct ks_plan *plan, const struct ks_ft_step *step, int64_t late_ns, struct ks_err *err)
{
	char text[KS_TIME_TEXT];
	return ks_fail(err, KS_E_JUDGE, "fault '%s' came %s late: this machine is too busy",
		       plan->fault[step->event.fault].name, ks_dur_format(text, late_ns));
}

int ks_ft_play_run(struct ks_ft_play *play, struct ks_ft_stage *stage, const struct ks_plan *plan, struct ks_err *err)
{
	while (ks_ft_play_due(play) - ks_true_ns() < READY_NS) {
		struct ks_ft_step *s = &play->step[play->next];
		int64_t due_ns = ks_ft_play_due(play);
		ks_true_wait(due_ns);
		s->begin_ns = ks_true_ns();
		if (ks_ft_set(stage, s->event.node, stage->offset_ns[s->event.node] + s->event.amount, err) != 0)
			return -1;
		s->end_ns = ks_true_ns();
		play->busy = s->end_ns - due_ns > KS_FT_LATE_MAX_NS;
		if (play->busy)
			return late(plan, s, s->end_ns - due_ns, err);
		play->next++;
	}
	return 0;
}
