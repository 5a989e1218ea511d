/* The worlds side by side: what each of them found of the same claims. */
#include <string.h>

#include "report.h"

#define WORLDS_MAX 4
#define COLUMN 16
#define NAME 41

struct side {
	const struct ks_rp_block *block[WORLDS_MAX]; /* of one scenario, one a world */
	size_t n;
	size_t claims, differ, open;
};

/* A name for a column: short, and nothing in it but what a terminal prints. */
static const char *plain(char buf[NAME], const char *text)
{
	size_t n = 0;
	for (; text[n] && n < NAME - 1; n++)
		buf[n] = text[n] < ' ' || text[n] > '~' ? '?' : text[n];
	buf[n] = 0;
	return buf;
}

static const json_t *run_of(const struct ks_rp_block *block, const char *generator)
{
	for (size_t i = 0; i < block->n; i++)
		if (!strcmp(block->cell[i].generator, generator))
			return block->cell[i].run[0];
	return NULL;
}

/* "kept", "broken 12", "untested", "failed", "-". @return the letter. */
static char found(char buf[KS_RP_NUMBER], const json_t *run, const char *claim)
{
	snprintf(buf, KS_RP_NUMBER, "-");
	if (!run)
		return '-';
	const char *status = ks_rp_str(run, "status");
	const json_t *c = ks_rp_claim(run, claim, strlen(claim));
	if (strcmp(status, "judged") || !c) {
		snprintf(buf, KS_RP_NUMBER, "%s", c ? status : strcmp(status, "judged") ? status : "-");
		return 'U';
	}
	const char *verdict = ks_rp_str(c, "verdict");
	if (!strcmp(verdict, "broken")) {
		snprintf(buf, KS_RP_NUMBER, "broken %lld", (long long)ks_rp_int(c, "count"));
		return 'B';
	}
	snprintf(buf, KS_RP_NUMBER, "%s", verdict);
	return *verdict == 'k' ? 'K' : 'U';
}

static void put_claim(struct side *s, FILE *out, const char *generator, const char *claim, const char *label, const int wide[2])
{
	char text[WORLDS_MAX][KS_RP_NUMBER], first = 0;
	bool differ = false, open = false;
	for (size_t i = 0; i < s->n; i++) {
		char letter = found(text[i], run_of(s->block[i], generator), claim);
		if (letter == 'B' || letter == 'K') {
			differ = differ || (first && letter != first);
			first = letter;
		} else {
			open = true;
		}
	}
	char name[NAME], of[NAME];
	s->claims++;
	s->differ += differ;
	s->open += open;
	fprintf(out, "%c %-*s  %-*s", differ ? '!' : ' ', wide[0], plain(name, label), wide[1], plain(of, claim));
	for (size_t i = 0; i < s->n; i++)
		fprintf(out, "  %-*s", i + 1 < s->n || differ ? COLUMN : 0, text[i]);
	fputs(differ ? "  differ\n" : "\n", out);
}

static const char *claim_at(const json_t *run, size_t i)
{
	return ks_rp_str(json_array_get(json_object_get(run, "claims"), i), "claim");
}

/* Of a generator that ran in several worlds the claims that any of them has judged: all judge the same ones. NULL: none. */
static const json_t *judged(const struct side *s, const char *generator)
{
	const json_t *found = NULL;
	size_t worlds = 0;
	for (size_t i = 0; i < s->n; i++) {
		const json_t *run = run_of(s->block[i], generator);
		worlds += run != NULL;
		if (!found && run && json_array_size(json_object_get(run, "claims")))
			found = run;
	}
	return worlds > 1 ? found : NULL;
}

static void widths(const struct side *s, int wide[2])
{
	wide[0] = wide[1] = 0;
	for (size_t i = 0; i < s->block[0]->n; i++) {
		const char *generator = s->block[0]->cell[i].generator;
		const json_t *run = judged(s, generator);
		char name[NAME];
		int n = run ? (int)strlen(plain(name, generator)) : 0;
		wide[0] = n > wide[0] ? n : wide[0];
		for (size_t k = 0; k < json_array_size(json_object_get(run, "claims")); k++) {
			n = (int)strlen(plain(name, claim_at(run, k)));
			wide[1] = n > wide[1] ? n : wide[1];
		}
	}
}

static void put_side(struct side *s, FILE *out)
{
	int wide[2];
	char name[NAME];
	widths(s, wide);
	if (!wide[0])
		return;
	fprintf(out, "%s, the worlds side by side\n  %-*s  %-*s", plain(name, s->block[0]->scenario), wide[0], "", wide[1], "");
	for (size_t i = 0; i < s->n; i++)
		fprintf(out, "  %-*s", i + 1 < s->n ? COLUMN : 0, s->block[i]->world);
	fputc('\n', out);
	for (size_t i = 0; i < s->block[0]->n; i++) {
		const char *generator = s->block[0]->cell[i].generator;
		const json_t *run = judged(s, generator);
		for (size_t k = 0; k < json_array_size(json_object_get(run, "claims")); k++)
			put_claim(s, out, generator, claim_at(run, k), k ? "" : generator, wide);
	}
	fprintf(out, "  %zu of %zu claims differ, of %zu one world tells nothing\n", s->differ, s->claims, s->open);
}

void ks_rp_put_worlds(const struct ks_rp_blocks *blocks, FILE *out)
{
	for (size_t i = 0; i < blocks->n;) {
		struct side s = {.block = {&blocks->v[i]}, .n = 1};
		size_t k = i + 1;
		for (; k < blocks->n && !strcmp(blocks->v[k].scenario, blocks->v[i].scenario) &&
		       !strcmp(blocks->v[k].about, blocks->v[i].about);
		     k++)
			if (s.n < WORLDS_MAX && strcmp(blocks->v[k].world, blocks->v[i].world))
				s.block[s.n++] = &blocks->v[k];
		if (s.n > 1)
			put_side(&s, out);
		i = k;
	}
}
