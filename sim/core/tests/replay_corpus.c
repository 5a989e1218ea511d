/* replay_corpus FOLDER: feeds every file in it, and mutants of each, to the entry of a fuzz target. Mutants are drawn from a fixed seed,
 * so a failure comes again. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ks_rand.h"

#define MUTANTS 20000 /* of a file */
#define SIZE_MAX_OF_FILE 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t pick(struct ks_stream *s, size_t n)
{
	return (size_t)ks_rand_in(ks_stream_next(s), 0, (int64_t)n - 1);
}

/* Writes over a byte, cuts the end off, doubles a stretch, or puts a byte in. @return the new size. */
static size_t mutate(struct ks_stream *s, uint8_t *data, size_t size)
{
	size_t at = pick(s, size + 1), n = pick(s, 9);

	if (at == size || n > size - at)
		return pick(s, 2) ? at : size;
	switch (pick(s, 4)) {
	case 0:
		data[at] = (uint8_t)ks_stream_next(s);
		return size;
	case 1:
		data[at] ^= (uint8_t)(1u << pick(s, 8));
		return size;
	case 2:
		memmove(data + at, data + at + n, size - at - n);
		return size - n;
	default:
		memmove(data + at + n, data + at, size - at);
		return size + n;
	}
}

/* The exact bytes on the heap, so that a sanitizer sees whoever reads beyond them. */
static void feed(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int feed_file(const char *path, uint64_t number)
{
	static uint8_t whole[SIZE_MAX_OF_FILE], data[SIZE_MAX_OF_FILE + 64];
	FILE *f = fopen(path, "rb");

	if (!f)
		return -1;
	size_t size = fread(whole, 1, sizeof(whole), f);
	fclose(f);
	feed(whole, size);
	for (uint64_t i = 0; i < MUTANTS; i++) {
		struct ks_stream s;
		ks_stream_init(&s, number, KS_STREAM_TEST, i);
		size_t n = size;
		memcpy(data, whole, size);
		for (size_t edits = 1 + pick(&s, 6); edits && n < sizeof(data) - 16; edits--)
			n = mutate(&s, data, n);
		feed(data, n);
	}
	return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int main(int argc, char **argv)
{
	struct dirent **names = NULL;
	char path[4096];
	int n = argc == 2 ? scandir(argv[1], &names, NULL, by_name) : -1, files = 0;

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%.3000s/%.255s", argv[1], names[i]->d_name);
		if (names[i]->d_name[0] != '.' && feed_file(path, (uint64_t)i) == 0)
			files++;
		free(names[i]);
	}
	free(names);
	printf("%d files, %d mutants of each\n", files, MUTANTS);
	return files ? 0 : 1;
}
