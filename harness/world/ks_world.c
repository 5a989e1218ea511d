#include "ks_world.h"

#include <string.h>

#include "ks_mem.h"

/* One line a world. vdso is not carried yet. */
const struct ks_world *const ks_worlds[] = {&ks_world_sim, &ks_world_faketime, &ks_world_qemu, NULL};

void ks_run_output_release(struct ks_run_output *output)
{
	ks_records_release(&output->records);
	ks_free(output->injection);
	ks_free(output->change);
	ks_free(output->jump);
	*output = (struct ks_run_output){0};
}

void ks_run_output_fail(struct ks_run_output *output)
{
	char detail[sizeof(output->detail)];

	memcpy(detail, output->detail, sizeof(detail));
	ks_run_output_release(output);
	memcpy(output->detail, detail, sizeof(detail));
}
