/* Makes gnuplot's SVG small: a page holds hundreds of them, and four fifths of each is blank groups, unused symbols and digits
 * nobody can see. Whatever it does not know is copied as it is. */
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool starts(const char *at, const char *word)
{
	return !strncmp(at, word, strlen(word));
}

/* @return what follows an element without content, "<g ...>" and "</g>" with blanks between; NULL when at is none. */
static const char *empty_group(const char *at)
{
	if (!starts(at, "<g "))
		return NULL;
	const char *end = strchr(at, '>');
	if (!end)
		return NULL;
	end++;
	end += strspn(end, " \t\n");
	return starts(end, "</g>") ? end + 4 : NULL;
}

/* @return what follows an element that is dropped, or NULL. */
static const char *dropped(const char *at, bool symbols)
{
	static const struct {
		const char *open, *close;
		bool symbols;
	} drop[] = {{"<title>", "</title>", false}, {"<desc>", "</desc>", false}, {"<defs>", "</defs>", true}};
	for (size_t i = 0; i < sizeof(drop) / sizeof(*drop); i++) {
		if (!starts(at, drop[i].open) || (drop[i].symbols && symbols))
			continue;
		const char *end = strstr(at, drop[i].close);
		return end ? end + strlen(drop[i].close) : NULL;
	}
	return empty_group(at);
}

/* A number in tenths as short as it goes: 12.5, -.3, 4. */
static void put_tenths(FILE *out, long v)
{
	long whole = labs(v) / 10, tenth = labs(v) % 10;
	fputs(v < 0 ? "-" : "", out);
	if (whole || !tenth)
		fprintf(out, "%ld", whole);
	if (tenth)
		fprintf(out, ".%ld", tenth);
}

/* The points of one path attribute, absolute "M x,y L x,y ...", as steps in tenths of a pixel. Rounded positions are
 * subtracted, so that errors do not add up. @return the end of what it understood. */
static const char *put_path(FILE *out, const char *at)
{
	long x = 0, y = 0;
	bool first = true;
	while (*at == 'M' || *at == 'L') {
		char *end;
		double fx = strtod(at + 1, &end);
		if (*end != ',' || !(fabs(fx) < 1e6))
			break;
		double fy = strtod(end + 1, &end);
		if (!(fabs(fy) < 1e6))
			break;
		long nx = lround(fx * 10), ny = lround(fy * 10);
		if (first || *at == 'M' || nx != x || ny != y) {
			fputc(first ? 'M' : *at == 'M' ? 'm' : 'l', out);
			put_tenths(out, nx - x);
			if (ny - y >= 0)
				fputc(',', out);
			put_tenths(out, ny - y);
		}
		x = nx;
		y = ny;
		first = false;
		at = end + strspn(end, " \t\n");
	}
	return at;
}

/* Inside tags: what gnuplot says in each of a hundred groups is said once, in the outermost, from which they inherit. The
 * background, which has no line, must say so then. Bold fonts are gnuplot's own word, which no browser knows. */
static const struct {
	const char *from, *to;
} words[] = {
	{"id=\"gnuplot_canvas\"", "fill='none' stroke='currentColor' font-family='sans-serif' font-size='12'"},
	{" fill=\"#ffffff\"/>", " fill='#fff' stroke='none'/>"},
	{" fill=\"none\" color=\"black\" stroke=\"currentColor\"", ""},
	{" stroke-width=\"1.00\"", ""},
	{" stroke-linecap=\"butt\"", ""},
	{" stroke-linejoin=\"miter\"", ""},
	{" font-family=\"sans-serif\"", ""},
	{" font-size=\"12.00\"", ""},
	{" class=\"gridline\"", ""},
	{":Bold\"", "' font-weight='bold'"},
	{".00\"", "'"},
	{"\"", "'"}, /* in the address of an image this one is a byte, the other three */
};

/* @return what follows a word of a tag that was rewritten, or NULL. */
static const char *put_word(FILE *out, const char *at)
{
	unsigned red, green, blue;
	int len = 0;
	if (starts(at, "rgb(") && sscanf(at, "rgb(%3u,%3u,%3u)%n", &red, &green, &blue, &len) == 3 && len) {
		fprintf(out, "#%02x%02x%02x", red & 255, green & 255, blue & 255);
		return at + len;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (starts(at, words[i].from)) {
			fputs(words[i].to, out);
			return at + strlen(words[i].from);
		}
	return NULL;
}

/* Groups that say nothing any more are dropped, with their ends. */
struct groups {
	uint64_t bare; /* a bit a level, the innermost lowest: was its beginning dropped? */
	int depth;
};

static const char *bare_group(const char *at, struct groups *g)
{
	if (starts(at, "<g>") || starts(at, "<g ")) {
		g->bare = g->bare << 1 | (at[2] == '>' && g->depth < 63);
		g->depth++;
		return g->bare & 1 ? at + 3 : NULL;
	}
	if (!starts(at, "</g>") || !g->depth)
		return NULL;
	bool bare = g->bare & 1;
	g->bare >>= 1;
	g->depth--;
	return bare ? at + 4 : NULL;
}

/* One pass from text to out. */
static void compact(FILE *out, const char *at, bool symbols)
{
	struct groups groups = {0, 0};
	bool tag = false;
	while (*at) {
		const char *next = *at == '<' ? dropped(at, symbols) : NULL;
		if (!next && *at == '<')
			next = bare_group(at, &groups);
		tag = *at == '<' || (tag && *at != '>');
		if (!next && tag)
			next = put_word(out, at);
		if (next) {
			tag = tag && next[-1] != '>';
			at = next;
		} else if (starts(at, " d='M")) {
			fputs(" d='", out);
			at = put_path(out, at + 4);
		} else if (strchr(" \t\n", *at)) {
			at += strspn(at, " \t\n");
			if (*at && *at != '>' && *at != '/')
				fputc(*at == '<' ? '\n' : ' ', out);
		} else {
			fputc(*at++, out);
		}
	}
}

int ks_rp_svg_compact(const char *path, struct ks_err *err)
{
	size_t len;
	char *bytes = ks_rp_read(path, KS_RP_SVG_MAX, &len);
	if (!bytes)
		return ks_fail(err, KS_E_INTERNAL, "cannot read \"%s\"", path);
	bool symbols = strstr(bytes, "</defs>") && strstr(strstr(bytes, "</defs>"), "#gp");
	int rc = 0;
	/* An emptied group empties the one around it: gnuplot nests two deep. */
	for (int pass = 0; pass < 3 && !rc; pass++) {
		struct ks_rp_text text;
		rc = ks_rp_open(&text, err);
		if (rc)
			break;
		compact(text.f, bytes, symbols);
		rc = pass < 2 ? ks_rp_finish(&text, err) : ks_rp_save(&text, path, err);
		free(bytes);
		bytes = text.bytes;
	}
	free(bytes);
	return rc;
}
