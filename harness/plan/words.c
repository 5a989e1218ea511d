/* The words of the format: worlds, claims, metrics. */
#include <string.h>

#include "ks_opt.h"
#include "ks_plan.h"

const char *const ks_world_names[KS_NWORLDS] = {"sim", "faketime", "vdso", "qemu"};
const char *const ks_scope_names[KS_NSCOPES] = {"thread", "process", "node", "fleet"};
const char *const ks_verdict_names[3] = {"kept", "broken", "untested"};
const char *const ks_metric_names[KS_NMETRICS] = {
	"duplicates",   "descents",      "below_max",            "displacement", "late_ns_max",
	"inversions",   "rem",
	"ahead_ns_max", "behind_ns_max", "causality_violations", "stall_ns_max", "stall_ns_p50",
	"stall_ns_p99", "refusals",      "lost",
};

/* Properties with a bound are written with it: "sorted(1ms)@node". */
const char *const ks_property_names[KS_NPROPERTIES] = {"unique", "increasing", "sorted",
                                                       "causal", "clock",      "available"};

static bool has_bound(enum ks_property p)
{
	return p == KS_SORTED || p == KS_CLOCK_WITHIN || p == KS_AVAILABLE;
}

static int unknown(const char *what, const char *word, const char *const *names, size_t n, struct ks_err *err)
{
	const char *near = ks_nearest(word, names, n);
	char list[160];
	size_t len = 0;
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i ? " " : "", names[i]);
	return ks_fail(err, KS_E_USAGE, "unknown %s '%.100s', expected one of %s%s%s%s", what, word, list,
	               near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
}

static int find(const char *word, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(word, names[i]))
			return (int)i;
	return -1;
}

/* Splits "sorted(1ms)@node" in place. @return 0, or -1: not of that form. */
static int split(char *text, char **property, char **bound, char **scope)
{
	char *at = strrchr(text, '@'), *open = strchr(text, '(');
	if (!at || at == text)
		return -1;
	*at = 0;
	*property = text;
	*scope = at + 1;
	*bound = NULL;
	if (!open || open > at)
		return 0;
	if (at[-1] != ')')
		return -1;
	at[-1] = 0;
	*open = 0;
	*bound = open + 1;
	return 0;
}

static int read_bound(const char *text, const char *bound, struct ks_claim_ref *claim, struct ks_err *err)
{
	const char *why = NULL;
	const char *name = ks_property_names[claim->property];
	claim->bound_ns = 0;
	if (!bound && !has_bound(claim->property))
		return 0;
	if (!bound)
		return ks_fail(err, KS_E_USAGE, "claim '%.100s' lacks its bound, expected %s(1ms)@SCOPE", text, name);
	if (!has_bound(claim->property))
		return ks_fail(err, KS_E_USAGE, "claim '%.100s' has a bound, expected %s@SCOPE", text, name);
	if (ks_dur_parse(bound, &claim->bound_ns, &why))
		return ks_fail(err, KS_E_USAGE, "bad bound in claim '%.100s', expected %s", text, why);
	if (claim->bound_ns < 0)
		return ks_fail(err, KS_E_USAGE, "bad bound in claim '%.100s', expected a duration of at least 0s",
			       text);
	return 0;
}

int ks_claim_parse(const char *text, struct ks_claim_ref *claim, struct ks_err *err)
{
	char copy[128], *property, *bound, *scope;
	int n = snprintf(copy, sizeof copy, "%s", text);
	if (n < 0 || (size_t)n >= sizeof copy || split(copy, &property, &bound, &scope))
		return ks_fail(err, KS_E_USAGE, "bad claim '%.100s', expected PROPERTY@SCOPE such as unique@fleet",
			       text);
	int p = find(property, ks_property_names, KS_NPROPERTIES), s = find(scope, ks_scope_names, KS_NSCOPES);
	if (p < 0)
		return unknown("property", property, ks_property_names, KS_NPROPERTIES, err);
	if (s < 0)
		return unknown("scope", scope, ks_scope_names, KS_NSCOPES, err);
	claim->property = (enum ks_property)p;
	claim->scope = (enum ks_scope)s;
	return read_bound(text, bound, claim, err);
}

const char *ks_claim_format(char buf[KS_NAME_MAX], struct ks_claim_ref claim)
{
	char bound[KS_TIME_TEXT];
	const char *property = ks_property_names[claim.property], *scope = ks_scope_names[claim.scope];
	if (has_bound(claim.property))
		snprintf(buf, KS_NAME_MAX, "%s(%s)@%s", property, ks_dur_format(bound, claim.bound_ns), scope);
	else
		snprintf(buf, KS_NAME_MAX, "%s@%s", property, scope);
	return buf;
}
