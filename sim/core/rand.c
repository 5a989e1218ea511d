#include "ks_rand.h"

#include <Random123/philox.h>

static philox2x64_ctr_t block(uint64_t seed, uint64_t stream, uint64_t counter)
{
	philox2x64_ctr_t c = {{counter, stream}};
	philox2x64_key_t k = {{seed}};
	return philox2x64(c, k);
}

static uint64_t stream_of(enum ks_stream_purpose purpose, uint64_t id)
{
	return (uint64_t)purpose << 48 | (id & 0xffffffffffff);
}

void ks_stream_init(struct ks_stream *s, uint64_t seed, enum ks_stream_purpose purpose, uint64_t id)
{
	*s = (struct ks_stream){.seed = seed, .stream = stream_of(purpose, id)};
}

uint64_t ks_stream_next(struct ks_stream *s)
{
	if (s->has_spare) {
		s->has_spare = 0;
		return s->spare;
	}
	philox2x64_ctr_t r = block(s->seed, s->stream, s->counter++);
	s->spare = r.v[1];
	s->has_spare = 1;
	return r.v[0];
}

uint64_t ks_rand_at(uint64_t seed, enum ks_stream_purpose purpose, uint64_t id, uint64_t counter)
{
	return block(seed, stream_of(purpose, id), counter).v[0];
}

int64_t ks_rand_in(uint64_t word, int64_t low, int64_t high)
{
	uint64_t span = (uint64_t)high - (uint64_t)low + 1;
	if (!span)
		return (int64_t)word;
	return (int64_t)((uint64_t)low + (uint64_t)(((unsigned __int128)word * span) >> 64));
}

uint64_t ks_rand_exp_q32(uint64_t word)
{
	/* u = (word + 1) / 2^64 in (0, 1]. -log2(u) digit by digit: normalise to m in [1, 2), then square; each
	 * squaring yields one binary place (Knuth, TAOCP 1.2.2, exercise 25). */
	if (word == UINT64_MAX)
		return 0;
	uint64_t u = word + 1;
	int zeros = __builtin_clzll(u);
	uint64_t m = u << zeros; /* [1, 2) with 63 places */
	uint64_t log2_q40 = 0;   /* of m */
	for (int i = 0; i < 40; i++) {
		unsigned __int128 sq = (unsigned __int128)m * m; /* [1, 4) with 126 places */
		int carry = (int)(sq >> 127);
		m = (uint64_t)(sq >> (63 + carry));
		log2_q40 = log2_q40 << 1 | (uint64_t)carry;
	}
	uint64_t minus_log2_q40 = ((uint64_t)(zeros + 1) << 40) - log2_q40;
	/* ln 2 = 0xb17217f7d1cf79ab / 2^64 */
	return (uint64_t)(((unsigned __int128)minus_log2_q40 * 0xb17217f7d1cf79abu) >> 72);
}
