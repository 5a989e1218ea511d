/* Which jobs of a schedule are run, and which are left out. */
#include <string.h>

#include "run.h"

static void keep(struct ks_schedule *s, bool (*wanted)(const struct ks_job *job, size_t i, const void *context), const void *context)
{
	size_t kept = 0;
	for (size_t i = 0; i < s->jobs; i++)
		if (wanted(&s->job[i], i, context))
			s->job[kept++] = s->job[i];
	s->jobs = kept;
}

struct shard {
	uint64_t i, n;
};

static bool in_shard(const struct ks_job *job, size_t i, const void *context)
{
	const struct shard *shard = context;
	(void)job;
	return i % shard->n == shard->i - 1;
}

void ks_select_shard(struct ks_schedule *s, uint64_t i, uint64_t n)
{
	keep(s, in_shard, &(struct shard){i, n});
}

json_t *ks_runs_as_expected(const json_t *document)
{
	json_t *fine = json_array(), *run;
	size_t i;
	json_array_foreach(json_object_get(document, "runs"), i, run) {
		const char *status = json_string_value(json_object_get(run, "status"));
		if (json_is_true(json_object_get(run, "as_expected")) && status && strcmp(status, "failed") != 0)
			json_array_append(fine, run);
	}
	return fine;
}
