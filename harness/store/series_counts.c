/* Counts so far over time: duplicates, calls that got no key, damage. */
#include <inttypes.h>

#include "series.h"

#define COLUMNS_MAX (2 * KS_DAMAGES_MAX)

/* One thing that is counted: when it happened, ascending. */
struct tally {
	const char *name;
	int64_t *at_ns;
	size_t n, cap, seen;
};
struct tallies {
	struct tally run[COLUMNS_MAX], control[COLUMNS_MAX];
	size_t n;
	bool lost; /* memory ran out */
};

static void tally_add(struct tallies *t, struct tally *c, int64_t at_ns)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 64;
		int64_t *at = ks_grow(c->at_ns, c->cap, cap, sizeof(*at));
		t->lost |= !at;
		if (!at)
			return;
		c->at_ns = at;
		c->cap = cap;
	}
	c->at_ns[c->n++] = at_ns;
}

static void tallies_release(struct tallies *t)
{
	for (size_t i = 0; i < COLUMNS_MAX; i++) {
		ks_free(t->run[i].at_ns);
		ks_free(t->control[i].at_ns);
	}
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/* Called with ascending t. */
static size_t count_until(struct tally *c, int64_t t)
{
	while (c->seen < c->n && c->at_ns[c->seen] <= t)
		c->seen++;
	return c->seen;
}

/* A line of the file: what each count has come to. @return whether it differs from the line before. */
static bool count_all(struct tallies *t, int64_t at_ns, size_t *now, bool control)
{
	bool changed = false;
	for (size_t i = 0; i < t->n; i++) {
		size_t run = count_until(&t->run[i], at_ns), plain = control ? count_until(&t->control[i], at_ns) : 0;
		changed = changed || now[i] != run || now[t->n + i] != plain;
		now[i] = run;
		now[t->n + i] = plain;
	}
	return changed;
}

static int put_window(struct ks_sr_job *j, const char *name, struct ks_sr_window w, struct tallies *t)
{
	struct ks_file file;
	size_t now[2 * COLUMNS_MAX], low = SIZE_MAX, high = 0, columns = j->control ? 2 * t->n : t->n;
	memset(now, 0xff, sizeof(now));
	if (ks_sr_open(j, name, &file))
		return -1;
	fputs("# t_s, then so far: ", file.f);
	for (size_t i = 0; i < t->n; i++) {
		t->run[i].seen = t->control[i].seen = 0;
		fprintf(file.f, "%s%s", t->run[i].name, i + 1 < t->n ? " " : j->control ? "; the same of the control\n" : "\n");
	}
	for (int i = 0; i < KS_SERIES_POINTS; i++) {
		int64_t at_ns = w.from_ns + (int64_t)((__int128)(w.to_ns - w.from_ns) * i / (KS_SERIES_POINTS - 1));
		if (!count_all(t, at_ns, now, j->control) && i < KS_SERIES_POINTS - 1)
			continue;
		ks_sr_seconds(file.f, at_ns);
		for (size_t k = 0; k < columns; k++) {
			low = now[k] < low ? now[k] : low; /* counts only grow, so the first line has the lowest */
			high = now[k] > high ? now[k] : high;
			fprintf(file.f, " %zu", now[k]);
		}
		fputc('\n', file.f);
	}
	ks_sr_range(j, name, (double)low, (double)high, KS_SERIES_POINTS);
	return ks_file_commit(&file, j->err);
}

/* Counts that are 0 in run and control are left out; when all are, there is no picture. Releases t. */
static int put_counts(struct ks_sr_job *j, const char *name, struct tallies *t)
{
	json_t *names = json_array();
	char near[40];
	size_t n = 0;
	for (size_t i = 0; i < t->n; i++) {
		struct tally run = t->run[i], control = t->control[i];
		if (!run.n && !control.n)
			continue;
		if (run.n)
			qsort(run.at_ns, run.n, sizeof(*run.at_ns), by_time);
		if (control.n)
			qsort(control.at_ns, control.n, sizeof(*control.at_ns), by_time);
		t->run[i].at_ns = t->control[i].at_ns = NULL; /* moved */
		t->run[n] = run;
		t->control[n++] = control;
		json_array_append_new(names, json_string(run.name));
	}
	t->n = n;
	snprintf(near, sizeof(near), "near-%s", name);
	int rc = t->lost ? ks_sr_no_memory(j->err) : 0;
	if (!rc && !n)
		rc = ks_sr_missing(j, name, "");
	else if (!rc)
		rc = put_window(j, name, j->whole, t) || put_window(j, near, j->near, t) ? -1 : 0;
	json_object_set_new(j->counts, name, names);
	tallies_release(t);
	return rc;
}

/* ---- duplicates ---- */

struct order {
	const struct ks_evidence *e;
	enum ks_scope scope;
};

static int by_group_key_row(const void *a, const void *b, void *arg)
{
	const struct order *o = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint64_t gx = ks_sr_group(o->e, o->scope, x), gy = ks_sr_group(o->e, o->scope, y);
	if (gx != gy)
		return gx < gy ? -1 : 1;
	int c = ks_key_cmp(ks_order(o->e, x), ks_order(o->e, y));
	return c ? c : (x > y) - (x < y);
}

/* The returns of keys that an earlier row of their group had returned already, in the place of those that c has. @return the
 * number of keys. */
static size_t find_duplicates(struct tallies *t, struct tally *c, const struct ks_evidence *e, enum ks_scope scope)
{
	struct order o = {e, scope};
	size_t keys = 0;
	uint32_t *row = ks_alloc(e->records->n, sizeof(*row));
	t->lost |= !row;
	c->n = 0;
	for (size_t i = 0; row && i < e->records->n; i++)
		if (ks_sr_get(e, i).outcome == KS_KEY)
			row[keys++] = (uint32_t)i;
	if (keys)
		qsort_r(row, keys, sizeof(*row), by_group_key_row, &o);
	for (size_t i = 1; i < keys; i++)
		if (ks_sr_group(e, scope, row[i - 1]) == ks_sr_group(e, scope, row[i]) &&
		    ks_key_equal(ks_order(e, row[i - 1]), ks_order(e, row[i])))
			tally_add(t, c, ks_sr_get(e, row[i]).return_ns);
	ks_free(row);
	return keys;
}

int ks_sr_dups(struct ks_sr_job *j)
{
	struct tallies t = {.n = 1};
	struct tally *plain = j->control ? &t.control[0] : &t.run[0];
	t.run[0].name = "duplicates";
	for (size_t i = 0; i < 4; i++) {
		j->dups_scope = ks_sr_scopes[i];
		size_t keys = find_duplicates(&t, plain, j->control ? j->control : j->e, j->dups_scope);
		if (ks_sr_few(plain->n, keys))
			break;
	}
	if (j->control)
		find_duplicates(&t, &t.run[0], j->e, j->dups_scope);
	return put_counts(j, "dups", &t);
}

/* ---- calls that got no key ---- */

static void find_unserved(struct tallies *t, struct tally *refused, struct tally *lost, const struct ks_evidence *e)
{
	for (size_t i = 0; i < e->records->n; i++) {
		struct ks_record r = ks_sr_get(e, i);
		if (r.outcome == KS_REFUSE)
			tally_add(t, refused, r.return_ns);
		else if (r.outcome == KS_LOST)
			tally_add(t, lost, r.call_ns);
	}
}

int ks_sr_served(struct ks_sr_job *j)
{
	struct tallies t = {.n = 2};
	t.run[0].name = "refused";
	t.run[1].name = "lost";
	find_unserved(&t, &t.run[0], &t.run[1], j->e);
	if (j->control)
		find_unserved(&t, &t.control[0], &t.control[1], j->control);
	return put_counts(j, "served", &t);
}

/* ---- damage ---- */

static void find_harm(struct tallies *t, struct tally *c, const struct ks_evidence *e, const struct ks_toll *toll, int damage)
{
	for (size_t i = 0; i < toll->n; i++) {
		if (toll->v[i].damage != damage || toll->v[i].row >= e->records->n)
			continue;
		struct ks_record r = ks_sr_get(e, toll->v[i].row);
		tally_add(t, c, r.return_ns != KS_NO_TIME ? r.return_ns : r.call_ns);
	}
}

/* Maxima are no counts: the table beside the plots has them. */
int ks_sr_damage(struct ks_sr_job *j)
{
	struct tallies t = {0};
	if (!j->facts->damages) /* nobody to be damaged */
		return 0;
	for (size_t i = 0; i < j->facts->damages; i++) {
		const struct ks_damage_result *d = &j->facts->damage[i];
		for (int k = 0; d->consumer->damages[k].name && t.n < COLUMNS_MAX; k++) {
			if (ks_damage_is_max(d->consumer->damages[k].name))
				continue;
			t.run[t.n].name = d->consumer->damages[k].name;
			find_harm(&t, &t.run[t.n], j->e, &d->toll, k);
			if (j->control)
				find_harm(&t, &t.control[t.n], j->control, &d->control, k);
			t.n++;
		}
	}
	return put_counts(j, "damage", &t);
}
