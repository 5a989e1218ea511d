/* The effective form of a plan, and its one-line description. */
#include <string.h>

#include "fields.h"
#include "ks_consumer.h"
#include "ks_plan.h"

/* --- texts --- */

static bool is_plain(const char *text)
{
	/* what some YAML reader takes for something else than a text */
	static const char *const special[] = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"};
	bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
	for (size_t i = 0; i < sizeof special / sizeof *special; i++)
		if (!strcasecmp(text, special[i]))
			return false;
	return letter &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == strlen(text);
}

static void put_text(FILE *out, const char *text)
{
	if (is_plain(text)) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void put_pair(FILE *out, const char *key, const char *text)
{
	fprintf(out, "%s: ", key);
	put_text(out, text);
}

/* --- the parts --- */

static void put_worlds(FILE *out, const char *key, unsigned mask)
{
	const char *sep = "";
	fprintf(out, "%s: [", key);
	for (int i = 0; i < KS_NWORLDS; i++)
		if (mask >> i & 1) {
			fprintf(out, "%s%s", sep, ks_world_names[i]);
			sep = ", ";
		}
	fputs("]\n", out);
}

static void put_head(FILE *out, const struct ks_plan *p)
{
	char text[KS_TIME_TEXT];
	fputs("keyskew: 1\n", out);
	put_pair(out, "title", p->title);
	fputc('\n', out);
	if (*p->source) {
		put_pair(out, "source", p->source);
		fputc('\n', out);
	}
	fputs("tags: [", out);
	for (int i = 0; i < p->ntags; i++) {
		fputs(i ? ", " : "", out);
		put_text(out, p->tags[i]);
	}
	fprintf(out, "]\nstart: %s\n", ks_utc_format(text, p->start_unix_ns));
	fprintf(out, "duration: %s\n", ks_dur_format(text, p->duration_ns));
	if (p->worlds_auto)
		fputs("worlds: [auto]\n", out);
	else
		put_worlds(out, "worlds", p->worlds);
	put_worlds(out, "require", p->require);
}

/* Could `nodes: COUNT` and one drift say the same? */
static bool nodes_are_alike(const struct ks_plan *p)
{
	for (uint32_t i = 0; i < p->nodes - p->clones; i++) {
		const struct ks_plan_node *n = &p->node[i];
		char name[KS_NAME_MAX];
		snprintf(name, sizeof name, "n%u", i + 1);
		if (strcmp(n->name, name) || *n->zone || n->offset_ns || n->own_clock || n->drift_drawn != p->node[0].drift_drawn ||
		    n->drift_ppb != p->node[0].drift_ppb)
			return false;
	}
	return true;
}

static void put_node(FILE *out, const struct ks_plan_node *n)
{
	char text[KS_TIME_TEXT];
	fputs("    - {", out);
	put_pair(out, "name", n->name);
	if (*n->zone) {
		fputs(", ", out);
		put_pair(out, "zone", n->zone);
	}
	fprintf(out, ", offset: %s", ks_dur_format(text, n->offset_ns));
	if (n->own_clock) {
		fputs(", clock: ", out);
		ks_clock_use_write(out, &n->clock);
	}
	if (!n->drift_drawn)
		fprintf(out, ", drift: %s", ks_ppb_format(text, n->drift_ppb));
	fputs("}\n", out);
}

static void put_fleet(FILE *out, const struct ks_plan *p)
{
	static const char *const node_ids[] = {"index", "fixed", "random", "mac", "pid", "lease"}; /* enum ks_node_id */
	char text[KS_TIME_TEXT];
	bool alike = nodes_are_alike(p);
	fputs("fleet:\n  nodes:", out);
	if (alike)
		fprintf(out, " %u", p->nodes - p->clones);
	fputc('\n', out);
	for (uint32_t i = 0; i < p->nodes - p->clones && !alike; i++)
		put_node(out, &p->node[i]);
	fprintf(out, "  processes: %u\n  threads: %u\n  clock: ", p->processes, p->threads);
	ks_clock_use_write(out, &p->clock);
	fputc('\n', out);
	if (alike && !p->node[0].drift_drawn)
		fprintf(out, "  drift: %s\n", ks_ppb_format(text, p->node[0].drift_ppb));
	if (p->node_id == KS_NODE_ID_FIXED)
		fprintf(out, "  node_id: {fixed: %lld}\n", (long long)p->node_id_value);
	else
		fprintf(out, "  node_id: %s\n", node_ids[p->node_id]);
	fprintf(out, "  host: %s\n", p->host == KS_HOST_CONTAINER ? "container" : "machine");
	fprintf(out, "  clocksource: %s\n", ks_clocksource_names[p->clocksource]);
	fprintf(out, "  kernel: %s\n", p->kernel);
	fprintf(out, "  network: {delay: %s, ", ks_dur_format(text, p->network.delay_ns));
	fprintf(out, "jitter: %s}\n", ks_dur_format(text, p->network.jitter_ns));
}

static void put_nodes(FILE *out, const struct ks_plan *p, const struct ks_node_set *set)
{
	fputs(set->n > 1 ? "[" : "", out);
	for (uint32_t i = 0; i < set->n; i++) {
		fputs(i ? ", " : "", out);
		put_text(out, p->node[set->v[i]].name);
	}
	fputs(set->n > 1 ? "]" : "", out);
}

static void put_workload(FILE *out, const struct ks_plan *p)
{
	static const char *const arrivals[] = {"regular", "poisson", "burst"};
	char text[KS_TIME_TEXT], phase[KS_TIME_TEXT];
	fprintf(out, "workload:\n  rate: %s\n  phase: %s\n  arrival: %s\n  model: %s\n  on_refuse: %s\n",
		ks_rate_format(text, p->load.rate), ks_dur_format(phase, p->load.phase_ns), arrivals[p->load.arrival],
		p->load.model == KS_MODEL_OPEN ? "open" : "closed",
		p->load.on_refuse == KS_REFUSE_DROP ? "drop" : "retry");
	if (p->mail.rate.count) {
		fprintf(out, "  messages: {rate: %s, from: ", ks_rate_format(text, p->mail.rate));
		put_nodes(out, p, &p->mail.from);
		fputs(", to: ", out);
		put_nodes(out, p, &p->mail.to);
		fputs("}\n", out);
	}
	fprintf(out, "  context: {user: %lld..%lld, depth: %lld..%lld}\n", (long long)p->user_low,
	        (long long)p->user_high, (long long)p->depth_low, (long long)p->depth_high);
}

/* The main value as the file has it; a mask of words in brackets. */
static const char *amount_text(const struct ks_fault *f, char buf[KS_TIME_TEXT])
{
	size_t n = 0;
	if (f->to_true)
		return "to-true";
	if (f->kind->type == KS_OPT_UTC)
		return ks_utc_format(buf, f->amount);
	if (f->kind->type == KS_OPT_PPB)
		return ks_ppb_format(buf, f->amount);
	if (f->kind->type == KS_OPT_DUR)
		return ks_dur_format(buf, f->amount);
	if (ks_fault_has_label(f->kind))
		return f->label;
	if (!f->kind->list)
		return f->kind->words[f->amount];
	for (int i = 0; f->kind->words[i]; i++) /* all five clocks take 39 characters */
		if (f->amount >> i & 1)
			n += (size_t)snprintf(buf + n, KS_TIME_TEXT - n, "%s%s", n ? "," : "", f->kind->words[i]);
	return buf;
}

static void put_fault(FILE *out, const struct ks_plan *p, const struct ks_fault *f)
{
	char text[KS_TIME_TEXT];
	fputs("  - {", out);
	put_pair(out, "name", f->name);
	fprintf(out, ", at: %s", ks_dur_format(text, f->at_ns));
	if (*f->zone) {
		fputs(", ", out);
		put_pair(out, "zone", f->zone);
	} else if (!f->everywhere && f->kind->op != KS_FAULT_CLONE) { /* a name stays a name, even where it is all there is: the fleet may grow by --set */
		fputs(", node: [", out);
		for (uint32_t i = 0; i < f->nnodes; i++) {
			fputs(i ? ", " : "", out);
			put_text(out, p->node[f->nodes[i]].name);
		}
		fputc(']', out);
	}
	const char *open = f->kind->list ? "[" : "", *close = f->kind->list ? "]" : "";
	fprintf(out, ", %s: %s%s%s", f->kind->name, open, amount_text(f, text), close);
	if (f->kind->keys & KS_KEY_FOR && f->for_ns)
		fprintf(out, ", for: %s", ks_dur_format(text, f->for_ns));
	if (f->kind->keys & KS_KEY_HZ)
		fprintf(out, ", hz: %lld", (long long)f->hz);
	if (f->kind->keys & KS_KEY_SECOND)
		fprintf(out, ", second: %s", f->second ? "delete" : "insert");
	if (f->of_core)
		fprintf(out, ", core: %u", f->core);
	if (f->of_core || f->kind->op == KS_FAULT_CORES)
		fprintf(out, ", cores: %u", f->cores);
	if (f->kind->keys & KS_KEY_HOP && f->hop_ns)
		fprintf(out, ", hop: %s", ks_dur_format(text, f->hop_ns));
	if (f->kind->keys & KS_KEY_PERIOD)
		fprintf(out, ", period: %s", ks_dur_format(text, f->period_ns));
	if (f->process != KS_ANY)
		fprintf(out, ", process: %u", f->process);
	if (f->thread != KS_ANY)
		fprintf(out, ", thread: %u", f->thread);
	if (f->placed) {
		char place[64];
		fprintf(out, ", call: %u, where: ", f->place.call);
		put_text(out, ks_place_format(&f->place, place, sizeof place));
		if (f->place.side != KS_PLACE_EVERY)
			fprintf(out, ", times: %u", f->place.times);
	}
	if (f->kind->keys & KS_KEY_STATE)
		fprintf(out, ", state: %s", f->kept ? "kept" : "lost");
	if (f->kind->keys & KS_KEY_AS) {
		fputs(", ", out);
		put_pair(out, "as", f->as);
	}
	if (f->kind->keys & KS_KEY_VMGENID)
		fprintf(out, ", vmgenid: %s", f->vmgenid ? "true" : "false");
	if (f->kind->keys & KS_KEY_CLOCKS)
		fprintf(out, ", clocks: %s", f->clocks_run ? "running" : "saved");
	if (f->kind->keys & KS_KEY_WAKE_ERROR && f->amount == KS_SUSPEND_S3)
		fprintf(out, ", wake_error: %s", ks_dur_format(text, f->wake_error_ns));
	fputs("}\n", out);
}

static void put_consumer(FILE *out, const struct ks_consumer_use *use)
{
	char text[128];
	const char *sep = "";
	fprintf(out, "  %s: {", use->consumer->name);
	for (const struct ks_opt *o = use->consumer->opts; o->name; o++) {
		fprintf(out, "%s%s: %s", sep, o->name, ks_opt_format(o, use->cfg, text, sizeof text));
		sep = ", ";
	}
	fputs("}\n", out);
}

static void put_reported(FILE *out, const struct ks_plan *p)
{
	fputs(*p->reported || p->figures.n ? "reported:\n" : "reported: {}\n", out);
	if (*p->reported) {
		fputs("  ", out);
		put_pair(out, "what", p->reported);
		fputc('\n', out);
	}
	if (*p->figures.generator) {
		fputs("  ", out);
		put_pair(out, "of", p->figures.generator);
		fputc('\n', out);
	}
	fputs(p->figures.n ? "  figures:\n" : "", out);
	for (size_t i = 0; i < p->figures.n; i++)
		fprintf(out, "    %s\n", p->figures.v[i].text);
}

static void put_capture(FILE *out, const struct ks_capture *c)
{
	char unusual[KS_TIME_TEXT], jump[KS_TIME_TEXT], stretch[KS_TIME_TEXT];
	if (c->on)
		fprintf(out, "capture: {unusual: %s, jump: %s, calls: %lld, stretch: %s}\n", ks_dur_format(unusual, c->unusual_ns),
			ks_dur_format(jump, c->jump_ns), (long long)c->calls, ks_dur_format(stretch, c->stretch_ns));
}

static void put_group(FILE *out, const struct ks_expect_group *g)
{
	fputs("  ", out);
	put_text(out, g->generator);
	fputs(":\n", out);
	for (size_t i = 0; i < g->n; i++)
		fprintf(out, "    %s\n", g->v[i].text);
}

int ks_plan_write(const struct ks_plan *p, FILE *out)
{
	put_head(out, p);
	put_fleet(out, p);
	put_workload(out, p);
	fputs(p->faults ? "faults:\n" : "faults: []\n", out);
	for (size_t i = 0; i < p->faults; i++)
		put_fault(out, p, &p->fault[i]);
	fputs(p->consumers ? "consumers:\n" : "consumers: {}\n", out);
	for (size_t i = 0; i < p->consumers; i++)
		put_consumer(out, &p->consumer[i]);
	put_capture(out, &p->capture);
	put_reported(out, p);
	fputs("expect:\n", out);
	for (size_t i = 0; i < p->groups; i++)
		put_group(out, &p->group[i]);
	return ferror(out) ? -1 : 0;
}

/* --- one line --- */

#define NAMED_MAX 3 /* more nodes or faults than this are counted, not named */

__attribute__((format(printf, 3, 4))) static size_t add(char *buf, size_t size, const char *fmt, ...)
{
	size_t n = strlen(buf);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(buf + n, size - n, fmt, ap);
	va_end(ap);
	return strlen(buf);
}

static void add_whom(const struct ks_plan *p, const struct ks_fault *f, char *buf, size_t size)
{
	if (*f->zone) {
		add(buf, size, "zone %s", f->zone);
		return;
	}
	if (f->nnodes == p->nodes && p->nodes > 1) {
		add(buf, size, "all nodes");
		return;
	}
	uint32_t named = f->nnodes > NAMED_MAX ? NAMED_MAX - 1 : f->nnodes;
	for (uint32_t i = 0; i < named; i++)
		add(buf, size, "%s%s", i ? ", " : "", p->node[f->nodes[i]].name);
	if (named < f->nnodes)
		add(buf, size, " and %u more", f->nnodes - named);
}

static void add_place(const struct ks_fault *f, char *buf, size_t size)
{
	char place[64], times[32] = "";
	if (!f->placed)
		return;
	if (f->place.times > 1)
		snprintf(times, sizeof times, "..%u", f->place.call + f->place.times - 1);
	ks_place_format(&f->place, place, sizeof place);
	if (f->place.side == KS_PLACE_EVERY)
		add(buf, size, " at every place of its calls, one a call, from call %u on,", f->place.call);
	else if (f->place.side == KS_PLACE_ANY)
		add(buf, size, " at any place of call %u%s", f->place.call + 1, times);
	else
		add(buf, size, " %s in call %u%s", place, f->place.call, times);
}

/* What it does, in words: "steps -120ms"; one: "n2 steps", many: "n1, n2 step". */
static void add_what(const struct ks_fault *f, bool one, char *buf, size_t size)
{
	char text[KS_TIME_TEXT];
	const char *s = one ? "s" : "", *have = one ? "has" : "have", *amount = amount_text(f, text);
	bool sign = f->kind->type != KS_OPT_WORD && !f->to_true && f->amount > 0 && f->kind->min < 0;
	switch (f->kind->op) {
	case KS_FAULT_STOP_WORLD:
		add(buf, size, " stop%s the world %s", s, amount);
		add_place(f, buf, size);
		break;
	case KS_FAULT_PAUSE:
		add(buf, size, " pause%s %s", s, amount);
		add_place(f, buf, size);
		break;
	case KS_FAULT_RESTART:
		add(buf, size, " restart%s%s, state %s,", s, f->amount ? "" : f->process == KS_ANY ? " its processes" : "",
		    f->kept ? "kept" : "lost");
		break;
	case KS_FAULT_SNAPSHOT:
		add(buf, size, " %s kept as snapshot %s", one ? "is" : "are", amount);
		break;
	case KS_FAULT_CLONE:
		add(buf, size, " begins as a clone of snapshot %s%s", amount, f->vmgenid ? "" : ", without vmgenid,");
		break;
	case KS_FAULT_ROLLBACK:
		add(buf, size, " is put back to snapshot %s%s", amount, f->clocks_run ? ", but for its clocks," : "");
		break;
	case KS_FAULT_CUT_OFF:
		add(buf, size, " lose%s the registry", s);
		break;
	case KS_FAULT_ARM_LEAP:
		add(buf, size, " %s%s a leap second at midnight, announced", f->amount ? "delete" : "insert", s);
		break;
	case KS_FAULT_SMEAR:
		add(buf, size, " smear%s a leap second (%s, %s)", s, f->second ? "delete" : "insert", f->kind->words[f->amount]);
		break;
	case KS_FAULT_COARSE:
		add(buf, size, " show%s multiples of %s", s, amount);
		break;
	case KS_FAULT_SOURCE:
		add(buf, size, one ? "'s time source moves by %s%s" : "' time sources move by %s%s", sign ? "+" : "", amount);
		break;
	case KS_FAULT_RTC:
		add(buf, size, " %s the battery-backed clock set to %s", have, amount);
		break;
	case KS_FAULT_CORES:
		add(buf, size, " %s %u cores %s apart", have, f->cores, amount);
		break;
	default:
		if (f->to_true)
			add(buf, size, " step%s to true time", s);
		else
			add(buf, size, " %s%s %s%s", f->kind->name, s, sign ? "+" : "", amount);
	}
}

static void add_fault(const struct ks_plan *p, const struct ks_fault *f, char *buf, size_t size)
{
	char at[KS_TIME_TEXT];
	bool one = *f->zone || (f->nnodes == 1 && p->nodes >= 1);
	add_whom(p, f, buf, size);
	if (f->process != KS_ANY)
		add(buf, size, " process %u", f->process);
	if (f->thread != KS_ANY)
		add(buf, size, " thread %u", f->thread);
	if (f->of_core)
		add(buf, size, " core %u of %u", f->core, f->cores);
	add_what(f, one, buf, size);
	if (f->kind->keys & KS_KEY_FOR && f->for_ns)
		add(buf, size, " for %s", ks_dur_format(at, f->for_ns));
	add(buf, size, " at %s", ks_dur_format(at, f->at_ns));
}

const char *ks_fault_text(const struct ks_plan *plan, const struct ks_fault *fault, char *buf, size_t size)
{
	*buf = 0;
	add_fault(plan, fault, buf, size);
	return buf;
}

/* Whoever keeps the clocks, where they are not simply true: " kept by chrony". */
static void add_keepers(const struct ks_plan *plan, char *buf, size_t size)
{
	enum ks_discipline by = plan->node[0].clock.by;
	for (uint32_t i = 1; i < plan->nodes; i++)
		if (plan->node[i].clock.by != by) {
			add(buf, size, " with clocks of several kinds");
			return;
		}
	if (by == KS_CLOCKS_FREE)
		add(buf, size, " with free clocks");
	else if (by != KS_CLOCKS_EXACT)
		add(buf, size, " kept by %s", ks_discipline_names[by]);
}

const char *ks_plan_about(const struct ks_plan *plan, char *buf, size_t size)
{
	char rate[KS_TIME_TEXT], duration[KS_TIME_TEXT];
	size_t named = plan->faults > NAMED_MAX ? NAMED_MAX - 1 : plan->faults;
	*buf = 0;
	for (size_t i = 0; i < named; i++) {
		add(buf, size, "%s", i ? ", " : "");
		add_fault(plan, &plan->fault[i], buf, size);
	}
	if (named < plan->faults)
		add(buf, size, " and %zu more faults", plan->faults - named);
	add(buf, size, "%s; %u node%s", plan->faults ? "" : "no faults", plan->nodes - plan->clones, plan->nodes - plan->clones > 1 ? "s" : "");
	if (plan->processes > 1)
		add(buf, size, " of %u processes", plan->processes);
	if (plan->threads > 1)
		add(buf, size, " of %u threads", plan->threads);
	add_keepers(plan, buf, size);
	add(buf, size, ", %s%s, %s", ks_rate_format(rate, plan->load.rate), plan->nodes > 1 ? " each" : "",
	    ks_dur_format(duration, plan->duration_ns));
	return buf;
}
