/* Keys as texts, whoever wrote them: a program, a plug-in, a key file, the command line of explain. Each built-in generator reads what
 * it printed itself, and whatever else it reads it prints again as the same key; a foreign one finds no more in a key than is there.
 *
 * The input: a byte that picks the generator, or the layout of a foreign one, then the key. */
#include <stdint.h>
#include <string.h>

#include "foreign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void sane(const struct ks_fields *f)
{
	require(f->nfields >= 0 && f->nfields <= KS_LAYOUT_FIELDS);
	require(!f->has_time || f->embed_lo_unix_ns < f->embed_hi_unix_ns);
}

static void built_in(const struct ks_gen *gen, const char *text)
{
	struct ks_gen_spec spec;
	struct ks_err err;
	struct ks_key key, again;
	struct ks_fields fields = {0};
	char buf[KS_KEY_TEXT];

	require(ks_gen_parse(ks_gens_sim, gen->name, &spec, &err) == 0);
	if (gen->decode_text) {
		if (gen->decode_text(spec.cfg, text, &fields) == 0)
			sane(&fields);
		return;
	}
	if (gen->parse(spec.cfg, text, &key) != 0)
		return;
	gen->decode(spec.cfg, key, &fields);
	sane(&fields);
	gen->format(spec.cfg, key, buf);
	require(strlen(buf) < sizeof(buf) && gen->parse(spec.cfg, buf, &again) == 0);
	require(again.hi == key.hi && again.lo == key.lo);
}

static void foreign(unsigned which, const char *text, size_t len)
{
	struct ks_foreign f = {.collation = which % 5, .layout = {.form = which / 5 % 3, .time = (int)(which / 15 % 3) - 1}};
	struct ks_fields fields = {0};
	char normal[KS_KEY_TEXT + KS_NORMAL_MIN];

	f.layout.n = f.collation == KS_BY_LAYOUT || which & 64 ? 2 : 0;
	f.layout.unit_ns = 1000000;
	f.layout.field[0].bits = 41;
	f.layout.field[1].bits = which & 128 ? 64 : 22;
	if (ks_foreign_decode(&f, text, len, &fields))
		sane(&fields);
	if (f.collation == KS_BY_FORM)
		return;
	int n = ks_foreign_normal(&f, text, len, normal);
	require(n <= (int)(len > KS_NORMAL_MIN ? len : KS_NORMAL_MIN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[KS_KEY_TEXT];
	unsigned n = 0;

	if (!size || size > sizeof(text) - 1)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	while (ks_gens_sim[n])
		n++;
	if (strlen(text) == size - 1)
		built_in(ks_gens_sim[data[0] % n], text);
	foreign(data[0], text, size - 1);
	return 0;
}
