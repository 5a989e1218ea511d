/* keyskew list: what there is, from the tables that carry it. Each kind is a JSON array of flat objects; the table for
 * people is drawn from the same. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ks_table.h"
#include "keygen.h"
#include "ks_consumer.h"
#include "ks_plan.h"
#include "ks_world.h"

static void clock_words(unsigned mask, char *buf, size_t size)
{
	size_t n = 0;
	*buf = 0;
	for (int id = 0; id < KS_NCLOCKS; id++)
		if (mask >> id & 1)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? " " : "", ks_clock_names[id]);
	if (!n)
		snprintf(buf, size, "none");
}

static void claim_words(const struct ks_gen_spec *spec, char *buf, size_t size)
{
	struct ks_claim claims[KS_CLAIMS_MAX];
	int n = ks_gen_claims(spec, claims);
	size_t used = 0;
	for (int i = 0; i < n; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s", i ? " " : "", claims[i].text);
}

static json_t *generator(const struct ks_gen_spec *spec)
{
	char clocks[80], claims[400];
	clock_words(spec->gen->clocks(spec->cfg), clocks, sizeof clocks);
	claim_words(spec, claims, sizeof claims);
	return json_pack("{ss ss ss ss ss}", "name", spec->text, "title", spec->gen->title, "reads", clocks, "claims", claims, "source",
	                 spec->gen->source);
}

static json_t *generators(void)
{
	json_t *list = json_array();
	for (const struct ks_gen *const *g = ks_gens_sim; *g; g++) {
		struct ks_gen_spec spec;
		struct ks_err err;
		if (ks_gen_parse(ks_gens_sim, (*g)->name, &spec, &err) == 0)
			json_array_append_new(list, generator(&spec));
	}
	return list;
}

/* NAME:OPTION=VALUE: as it is with those options. NULL with an error. */
static json_t *generator_with_options(const char *text, struct ks_err *err)
{
	struct ks_gen_spec spec;
	if (ks_gen_parse(ks_gens_sim, text, &spec, err))
		return NULL;
	return json_pack("[o]", generator(&spec));
}

static json_t *layout(const struct ks_gen_spec *spec)
{
	bool numeric = !ks_gen_issues_texts(spec) && ks_gen_compare(spec) == KS_COMPARE_NUMERIC;
	return json_pack("[{ss ss}]", "layout", spec->gen->layout, "sorts", numeric ? "as a number" : "byte by byte");
}

static json_t *claims(const struct ks_gen_spec *spec)
{
	struct ks_claim claim[KS_CLAIMS_MAX];
	json_t *list = json_array();
	for (int i = 0, n = ks_gen_claims(spec, claim); i < n; i++)
		json_array_append_new(list, json_pack("{ss ss}", "claim", claim[i].text, "claimed_by", claim[i].source));
	return list;
}

static json_t *words(const struct ks_gen_spec *spec)
{
	json_t *list = json_array();
	for (const struct ks_word_meaning *w = spec->gen->words; w && w->word; w++)
		json_array_append_new(list, json_pack("{ss ss}", "word", w->word, "meaning", w->meaning));
	return list;
}

static json_t *refusals(const struct ks_gen_spec *spec)
{
	json_t *list = json_array();
	for (int i = 0; i < KS_REASONS_MAX && spec->gen->reasons[i]; i++)
		json_array_append_new(list, json_pack("{ss}", "refuses_because", spec->gen->reasons[i]));
	return list;
}

/* An option table, of a generator or a consumer. */
static json_t *options(const struct ks_opt *table)
{
	json_t *list = json_array();
	for (const struct ks_opt *o = table; o->name; o++) {
		char accepts[256];
		json_array_append_new(list, json_pack("{ss ss ss ss}", "option", o->name, "default", o->def, "accepts",
		                                      ks_opt_accepts(o, accepts, sizeof accepts), "meaning", o->help));
	}
	return list;
}

static json_t *faults(void)
{
	json_t *list = json_array();
	for (const struct ks_fault_kind *k = ks_fault_kinds; k->name; k++) {
		char accepts[256] = "-";
		if (k->op >= 0)
			ks_fault_accepts(k, accepts, sizeof accepts);
		json_array_append_new(list, json_pack("{ss ss ss ss ss}", "name", k->name, "title", k->title, "value", accepts, "moves",
		                                      k->moves ? k->moves : "", "carried", k->op >= 0 ? "yes" : "not yet"));
	}
	return list;
}

static void add_param(json_t *list, const struct ks_param *p)
{
	json_array_append_new(list, json_pack("{ss ss ss ss}", "parameter", p->name, "default", p->needed ? "required" : p->def ? p->def : "-",
	                                      "accepts", p->accepts, "meaning", p->help));
}

/* What is wrong with a fleet from the start is no fault of an instant, but people look for it here. @return its words, or NULL. */
static json_t *fleet_words(const char *name)
{
	json_t *list = json_array();
	struct ks_param p;
	char path[KS_NAME_MAX];
	for (int i = 0; ks_fleet_param(name, i, &p, path); i++) {
		p.name = path;
		add_param(list, &p);
	}
	if (json_array_size(list))
		return list;
	json_decref(list);
	return NULL;
}

static json_t *fault_params(const char *name)
{
	json_t *list = json_array();
	struct ks_param param;
	const struct ks_fault_kind *k = ks_fault_kind_find(name);
	for (int i = 0; k->op >= 0 && ks_fault_param(k, i, &param); i++)
		add_param(list, &param);
	return list;
}

static json_t *clocks(void)
{
	json_t *list = json_array();
	for (int i = 0; i < KS_NDISCIPLINES; i++)
		json_array_append_new(list, json_pack("{ss ss}", "name", ks_discipline_names[i], "title", ks_discipline_titles[i]));
	return list;
}

static json_t *clock_params(const char *name)
{
	json_t *list = json_array();
	struct ks_param param;
	for (int i = 0; i < KS_NDISCIPLINES; i++)
		for (int k = 0; !strcmp(name, ks_discipline_names[i]) && ks_clock_param((enum ks_discipline)i, k, &param); k++)
			add_param(list, &param);
	return list;
}

static json_t *worlds(void)
{
	json_t *list = json_array();
	for (const struct ks_world *const *w = ks_worlds; *w; w++) {
		char why[512] = "";
		bool here = (*w)->available(why, sizeof why) == 0;
		json_array_append_new(list, json_pack("{ss ss ss ss}", "name", (*w)->name, "title", (*w)->title, "here", here ? "yes" : "no",
		                                      "reason", why));
	}
	return list;
}

static json_t *consumers(void)
{
	json_t *list = json_array();
	for (const struct ks_consumer *const *c = ks_consumers; *c; c++) {
		char damages[300] = "";
		size_t n = 0;
		for (int i = 0; (*c)->damages[i].name; i++)
			n += (size_t)snprintf(damages + n, sizeof damages - n, "%s%s", i ? " " : "", (*c)->damages[i].name);
		json_array_append_new(list, json_pack("{ss ss ss}", "name", (*c)->name, "title", (*c)->title, "damages", damages));
	}
	return list;
}

static json_t *damages(const struct ks_consumer *c)
{
	json_t *list = json_array();
	for (const struct ks_damage *d = c->damages; d->name; d++)
		json_array_append_new(list, json_pack("{ss ss}", "damage", d->name, "meaning", d->help));
	return list;
}

static json_t *names(const char *const *names, int n, int scoped)
{
	json_t *list = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{ss ss}", "name", names[i], "scopes",
		                                      i < scoped ? "thread process node fleet" : ""));
	return list;
}

static json_t *metrics(void)
{
	return names(ks_metric_names, KS_NMETRICS, KS_NSCOPED_METRICS);
}

static json_t *properties(void)
{
	return names(ks_property_names, KS_NPROPERTIES, KS_NPROPERTIES);
}

static int add_scenario(const char *path, void *context)
{
	json_t *list = context;
	struct ks_plan plan;
	struct ks_suite suite;
	struct ks_err err;
	const char *library = ks_library(), *shown = path;
	if (library && !strncmp(path, library, strlen(library)))
		shown = path + strlen(library) + 1;
	char name[PATH_MAX];
	snprintf(name, sizeof name, "%.*s", (int)(strlen(shown) - strlen(".yaml")), shown);
	if (ks_file_is_suite(path, &err) == 1) {
		if (ks_suite_load(path, &suite, &err) == 0) {
			json_array_append_new(list, json_pack("{ss ss ss}", "name", name, "title", suite.title, "source", ""));
			ks_suite_release(&suite);
		}
	} else if (ks_plan_load(path, NULL, 0, &plan, &err) == 0) {
		json_array_append_new(list, json_pack("{ss ss ss}", "name", name, "title", plan.title, "source", plan.source));
		ks_plan_release(&plan);
	}
	return 0;
}

static json_t *scenarios(void)
{
	json_t *list = json_array();
	struct ks_err err;
	const char *library = ks_library();
	if (library)
		ks_library_walk(library, add_scenario, list, &err);
	return list;
}

static const struct kind {
	const char *name;
	json_t *(*list)(void);
} kinds[] = {{"scenarios", scenarios}, {"generators", generators}, {"faults", faults}, {"clocks", clocks},
             {"worlds", worlds}, {"consumers", consumers}, {"metrics", metrics},       {"properties", properties},
             {"subjects", ks_list_subjects}, {NULL, NULL}};

static const struct kind *find_kind(const char *name, struct ks_err *err)
{
	const char *all[16];
	size_t n = 0;
	for (const struct kind *k = kinds; k->name; k++) {
		if (!strcmp(k->name, name) || (!strncmp(k->name, name, strlen(name)) && strlen(k->name) == strlen(name) + 1))
			return k; /* "faults", or "fault" */
		all[n++] = k->name;
	}
	const char *near = ks_nearest(name, all, n);
	ks_fail(err, KS_E_USAGE, "unknown kind '%s'%s%s%s, see keyskew list --help", name, near ? "; did you mean '" : "", near ? near : "",
	        near ? "'" : "");
	return NULL;
}

/* The one entry of that name, or an error that names the nearest. */
static json_t *pick(json_t *list, const char *kind, const char *name, struct ks_err *err)
{
	const char *all[1024];
	size_t i, n = 0;
	json_t *entry;
	json_array_foreach(list, i, entry) {
		const char *full = json_string_value(json_object_get(entry, "name"));
		const char *slash = strrchr(full, '/');
		if (!strcmp(full, name) || (slash && !strcmp(slash + 1, name)))
			return json_pack("[O]", entry);
		if (n < 1024)
			all[n++] = slash ? slash + 1 : full;
	}
	const char *near = ks_nearest(name, all, n);
	ks_fail(err, KS_E_NOMATCH, "nothing named '%s' among %s%s%s%s", name, kind, near ? "; did you mean '" : "", near ? near : "",
	        near ? "'" : "");
	return NULL;
}

static void print_table(json_t *list)
{
	size_t i;
	json_t *entry, *value;
	const char *key;
	struct ks_table t = {.gap = 2};
	json_object_foreach(json_array_get(list, 0), key, value)
		if (t.columns < KS_TABLE_COLUMNS)
			t.title[t.columns++] = key;
	json_array_foreach(list, i, entry) {
		const char *cell[KS_TABLE_COLUMNS];
		for (size_t c = 0; c < t.columns; c++) {
			const char *text = json_string_value(json_object_get(entry, t.title[c]));
			cell[c] = text ? text : "";
		}
		if (ks_table_add(&t, cell, NULL))
			break;
	}
	ks_table_print(&t, stdout, 0, ks_terminal_width());
	ks_table_release(&t);
}

static void print(json_t *j, bool as_json)
{
	if (as_json) {
		json_dumpf(j, stdout, JSON_INDENT(1));
		putchar('\n');
	} else {
		print_table(j);
	}
	json_decref(j);
}

/* What one entry has below it: options, damages. A table each for people, members of the entry in JSON. */
static void print_more(json_t *entry, const char *what, json_t *table, bool as_json)
{
	if (as_json)
		json_object_set(entry, what, table);
	else if (json_array_size(table)) {
		putchar('\n');
		print_table(table);
	}
	json_decref(table);
}

static void print_one(const struct kind *k, json_t *one, bool as_json)
{
	json_t *entry = json_array_get(one, 0);
	const char *name = json_string_value(json_object_get(entry, "name"));
	if (!as_json)
		print_table(one);
	struct ks_gen_spec spec;
	struct ks_err err;
	if (k->list == generators && ks_gen_parse(ks_gens_sim, name, &spec, &err) == 0) {
		print_more(entry, "layouts", layout(&spec), as_json);
		print_more(entry, "sources", claims(&spec), as_json);
		print_more(entry, "options", options(spec.gen->opts), as_json);
		print_more(entry, "words", words(&spec), as_json);
		print_more(entry, "refusals", refusals(&spec), as_json);
	}
	if (k->list == faults)
		print_more(entry, "parameters", fault_params(name), as_json);
	if (k->list == clocks)
		print_more(entry, "parameters", clock_params(name), as_json);
	if (k->list == consumers) {
		print_more(entry, "options", options(ks_consumer_find(name)->opts), as_json);
		print_more(entry, "damages_table", damages(ks_consumer_find(name)), as_json);
	}
	if (as_json)
		print(json_incref(one), true);
	json_decref(one);
}

static int list(const char *kind, const char *name, bool as_json, struct ks_err *err)
{
	if (!kind) {
		json_t *all = json_object();
		for (const struct kind *k = kinds; k->name; k++) {
			if (as_json) {
				json_object_set_new(all, k->name, k->list());
			} else {
				printf("%s%s\n", k == kinds ? "" : "\n", k->name);
				print(k->list(), false);
			}
		}
		if (as_json)
			print(json_incref(all), true);
		json_decref(all);
		return 0;
	}
	const struct kind *k = find_kind(kind, err);
	if (!k)
		return -1;
	json_t *entries = k->list();
	if (!name) {
		print(entries, as_json);
		return 0;
	}
	json_t *of_fleet = k->list == faults && !ks_fault_kind_find(name) ? fleet_words(name) : NULL;
	if (of_fleet) {
		json_decref(entries);
		print(of_fleet, as_json);
		return 0;
	}
	bool has_options = k->list == generators && strchr(name, ':');
	json_t *one = has_options ? generator_with_options(name, err) : pick(entries, k->name, name, err);
	json_decref(entries);
	if (!one)
		return -1;
	print_one(k, one, as_json);
	return 0;
}

int ks_list_names(const char *kind, FILE *out)
{
	size_t i;
	json_t *entry;
	if (!strcmp(kind, "kinds")) {
		for (const struct kind *k = kinds; k->name; k++)
			fprintf(out, "%s\n", k->name);
		return 0;
	}
	for (const struct kind *k = kinds; k->name; k++) {
		if (strcmp(k->name, kind))
			continue;
		json_t *entries = k->list();
		json_array_foreach(entries, i, entry)
			fprintf(out, "%s\n", json_string_value(json_object_get(entry, "name")));
		json_decref(entries);
		return 0;
	}
	return -1;
}

static const struct ks_cli_option cli_options[] = {
	{"json", 0, NULL, "as JSON", KS_COMPLETE_NONE, NULL},
	{0},
};

static int cmd_list(int argc, char **argv);
static const char *const synopsis[] = {"[KIND [NAME]] [--json]", NULL};
const struct ks_cli_command ks_command_list = {
	.name = "list",
	.summary = "scenarios, generators, faults, clocks, worlds, consumers",
	.synopsis = synopsis,
	.text = "KIND: scenarios, generators, faults, clocks, worlds, consumers, metrics, properties, subjects (ready-made\ngenerator files of foreign programs: what is installed, and the line that installs the rest)",
	.options = cli_options,
	.complete = KS_COMPLETE_KIND,
	.run = cmd_list,
};

static int cmd_list(int argc, char **argv)
{
	struct ks_cli cli;
	bool as_json = false;
	char *value;
	int option, code = 0;
	ks_cli_begin(&cli, &ks_command_list, argc, argv);
	while ((option = ks_cli_next(&cli, &value)) >= 0)
		as_json = true;
	if (option != KS_CLI_END)
		code = ks_cli_end(&cli, option);
	else if (cli.words > 2)
		code = ks_cli_usage(&ks_command_list);
	else if (list(cli.words ? cli.word[0] : NULL, cli.words > 1 ? cli.word[1] : NULL, as_json, &cli.err))
		code = ks_cli_error(&cli.err);
	ks_cli_release(&cli);
	return code;
}
