/* Who keeps the clocks of a node: a word, or a word with options, `clock: {ntpd: {step: 0s}}`. */
#include <string.h>

#include "fields.h"

const char *const ks_discipline_names[] = {"exact", "free", "chrony", "ntpd", "timesyncd", NULL};

const char *const ks_discipline_titles[] = {
	"true time, but for what faults do", "nobody keeps them: each drifts",
	"chronyd: slews; steps only in the first updates after a boot", "ntpd: a phase-locked loop; steps what lasts for stepout",
	"systemd-timesyncd: steps large offsets at once", NULL};

#define OPTION(member_, type_, min_, max_) \
	.read = ks_read_number, KS_AT(struct ks_keeper_desc, member_), .type = type_, .min = min_, .max = max_

/* What `ntpq -p` and `chronyc tracking` show of a source: offset, jitter, delay, poll. */
#define OF_ALL \
	{.name = "offset", .help = "of its time source; positive: that reads later than true time", .def = "0s", \
	 OPTION(offset_ns, KS_OPT_DUR, -KS_SPAN_MAX, KS_SPAN_MAX)}, \
	{.name = "jitter", .help = "of a measurement: root mean square, at most three times that", .def = "23us", \
	 OPTION(jitter_ns, KS_OPT_DUR, 0, KS_HOUR)}, \
	{.name = "delay", .help = "of the round trip to the source", .def = "8ms", OPTION(delay_ns, KS_OPT_DUR, 0, KS_SEC)}, \
	{.name = "poll", .help = "between two questions; daemons go from 64s to 1024s (timesyncd: 32s to 2048s) as they settle", \
	 .def = "64s", OPTION(poll_ns, KS_OPT_DUR, KS_SEC, 131072 * KS_SEC)}, \
	{.name = "first", .help = "when it asks for the first time; default: drawn by seed, within a poll", \
	 OPTION(first_ns, KS_OPT_DUR, 0, KS_SPAN_MAX)}

static const struct ks_field chrony_fields[] = {
	OF_ALL,
	{.name = "makestep", .help = "larger offsets are stepped, 0s: none; else slewed", .def = "1s",
	 OPTION(step_ns, KS_OPT_DUR, 0, KS_SPAN_MAX)},
	{.name = "limit", .help = "of makestep: only in the first so many updates after a boot; -1: in all", .def = "3",
	 OPTION(limit, KS_OPT_INT, -1, 1000)},
	{.name = "maxslew", .help = "the fastest slew", .def = "83333ppm", OPTION(maxslew_ppb, KS_OPT_PPB, 1000, KS_DRIFT_MAX_PPB)},
	{0},
};

static const struct ks_field ntpd_fields[] = {
	OF_ALL,
	{.name = "step", .help = "tinker step: larger offsets are stepped, 0s: none is (slew only); else slewed", .def = "128ms",
	 OPTION(step_ns, KS_OPT_DUR, 0, KS_SPAN_MAX)},
	{.name = "stepout", .help = "tinker stepout: once they have lasted that long (ntpd 4.2.8: 300s; before: 900s)",
	 .def = "300s", OPTION(stepout_ns, KS_OPT_DUR, 0, KS_DAY)},
	{.name = "panic", .help = "tinker panic: it gives up at larger offsets, 0s: at none", .def = "1000s",
	 OPTION(panic_ns, KS_OPT_DUR, 0, KS_SPAN_MAX)},
	{0},
};

static const struct ks_field timesyncd_fields[] = {
	OF_ALL,
	{.name = "step", .help = "offsets from that on are stepped; smaller ones slewed", .def = "400ms",
	 OPTION(step_ns, KS_OPT_DUR, 1, 500 * KS_MS)},
	{0},
};

static const struct {
	enum ks_keeper_kind kind;
	const struct ks_field *fields;
} keepers[KS_NDISCIPLINES] = {
	[KS_CLOCKS_CHRONY] = {KS_KEEPER_CHRONY, chrony_fields},
	[KS_CLOCKS_NTPD] = {KS_KEEPER_NTPD, ntpd_fields},
	[KS_CLOCKS_TIMESYNCD] = {KS_KEEPER_TIMESYNCD, timesyncd_fields},
};

static int read_word(struct ks_reader *r, const struct ks_tree *n, bool of_key, struct ks_clock_use *use)
{
	const char *word = of_key ? n->key : n->text;
	for (int i = 0; i < KS_NDISCIPLINES; i++)
		if (!strcmp(ks_discipline_names[i], word)) {
			use->by = (enum ks_discipline)i;
			return 0;
		}
	return ks_unknown(r, n, of_key, "clock", ks_discipline_names, KS_NDISCIPLINES);
}

int ks_read_clock_use(struct ks_reader *r, const struct ks_tree *n, const struct ks_field *f, void *into)
{
	struct ks_clock_use *use = (struct ks_clock_use *)((char *)into + f->offset);
	const struct ks_tree none = {.kind = KS_TREE_MAP}, *options = &none;
	*use = (struct ks_clock_use){.keeper = {.first_ns = -1}};
	if (n->kind == KS_TREE_MAP && n->n != 1)
		return ks_bad(r, n, "'%s' names %zu keepers, expected one such as {ntpd: {step: 0s}}", f->name, n->n);
	if (read_word(r, n->kind == KS_TREE_MAP ? n->first : n, n->kind == KS_TREE_MAP, use))
		return -1;
	if (n->kind == KS_TREE_MAP)
		options = n->first;
	if (!ks_want(r, options, KS_TREE_MAP, ks_discipline_names[use->by], "a mapping of its options"))
		return -1;
	if (!keepers[use->by].fields)
		return options->n ? ks_bad(r, options, "'%s' has no options", ks_discipline_names[use->by]) : 0;
	use->keeper.kind = keepers[use->by].kind;
	return ks_fields_read(r, options, keepers[use->by].fields, &use->keeper);
}

void ks_clock_use_write(FILE *out, const struct ks_clock_use *use)
{
	const struct ks_field *f = keepers[use->by].fields;
	const char *sep = "";
	char text[KS_TIME_TEXT];
	if (!f) {
		fputs(ks_discipline_names[use->by], out);
		return;
	}
	fprintf(out, "{%s: {", ks_discipline_names[use->by]);
	for (; f->name; f++) {
		int64_t v;
		memcpy(&v, (const char *)&use->keeper + f->offset, sizeof v);
		if (!f->def && v < 0) /* drawn */
			continue;
		fprintf(out, "%s%s: ", sep, f->name);
		if (f->type == KS_OPT_INT)
			fprintf(out, "%lld", (long long)v);
		else
			fputs(f->type == KS_OPT_PPB ? ks_ppb_format(text, v) : ks_dur_format(text, v), out);
		sep = ", ";
	}
	fputs("}}", out);
}

void ks_clocks_print(FILE *out)
{
	for (int i = 0; i < KS_NDISCIPLINES; i++) {
		char path[64], heading[80];
		snprintf(path, sizeof path, "fleet.clock.%s", ks_discipline_names[i]);
		snprintf(heading, sizeof heading, "`clock: {%s: {...}}`, of the fleet or a node", ks_discipline_names[i]);
		if (keepers[i].fields)
			ks_fields_print(out, path, heading, keepers[i].fields);
	}
}

bool ks_clock_param(enum ks_discipline by, int i, struct ks_param *param)
{
	const struct ks_field *f = keepers[by].fields;
	for (; f && f->name; f++)
		if (!i--) {
			*param = (struct ks_param){.name = f->name, .def = f->def, .help = f->help};
			param->accepts = ks_field_accepts(f, param->buf, sizeof param->buf);
			return true;
		}
	return false;
}
