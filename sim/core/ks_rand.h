/* Counter-based random numbers: value = f(seed, stream, counter). A new user of randomness takes a new stream and
 * shifts no other. The function is Philox 2x64-10 (Salmon et al., SC 2011) from the Random123 library. */
#ifndef KS_RAND_H
#define KS_RAND_H

#include <stdint.h>

/* Streams by purpose: the upper 16 bits. The lower 48 are the purpose's own (a lane, a node). */
enum ks_stream_purpose {
	KS_STREAM_ARRIVAL = 1, /* when calls are due, by lane */
	KS_STREAM_GENERATOR,   /* what a generator draws, by lane */
	KS_STREAM_CONTEXT,     /* what a call is about (user, depth), by lane */
	KS_STREAM_FAULT,       /* what a fault draws, by fault */
	KS_STREAM_PROCESS,     /* identity of processes (pids) */
	KS_STREAM_CONSUMER,    /* what a consumer draws */
	KS_STREAM_TEST,
	KS_STREAM_CLOCK,       /* what a free clock's oscillator draws, by node */
	KS_STREAM_KEEPER,      /* what the measurements of a clock's keeper are off by, by node */
	KS_STREAM_NETWORK,     /* how long messages take, by the lane that sends */
};

struct ks_stream {
	uint64_t seed, stream, counter;
	uint64_t spare;      /* the second word of the last block */
	int has_spare;
};

void ks_stream_init(struct ks_stream *s, uint64_t seed, enum ks_stream_purpose purpose, uint64_t id);
uint64_t ks_stream_next(struct ks_stream *s);

/* One 64-bit value of (seed, purpose, id, counter), without state. */
uint64_t ks_rand_at(uint64_t seed, enum ks_stream_purpose purpose, uint64_t id, uint64_t counter);

/* A whole number in [low, high], every one equally likely up to 2^-64 of bias (multiply-shift). */
int64_t ks_rand_in(uint64_t word, int64_t low, int64_t high);

/* -ln(u) for u uniform in (0, 1], from one random word, as a fixed-point number with 32 binary places: an
 * exponential variate of mean 1. Integers only, so every compiler gives the same; the error is below 2^-30. */
uint64_t ks_rand_exp_q32(uint64_t word);

#endif
