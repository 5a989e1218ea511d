#include "bench_guest.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ks_guest_bench.h"
#include "ks_qemu.h"
#include "qemu_seats.h"

static const struct {
	const char *title, *unit;
	double scale, bound; /* of the printed figure: at most, or at least where it is a rate */
} figures[KS_GUEST_FIGURES] = {
	[KS_GUEST_BOOT] = {"boot to the first answer", "s", 1, 6},
	[KS_GUEST_SAVE] = {"save", "ms", 1e3, 0},
	[KS_GUEST_CLONE] = {"clone, to its answer", "ms", 1e3, 400},
	[KS_GUEST_READY] = {"  started before", "ms", 1e3, 200},
	[KS_GUEST_FOUR] = {"four clones", "s", 1, 2},
	[KS_GUEST_MAKE] = {"counter, one thread", "M keys/s", 1e-6, 0},
	[KS_GUEST_SEND] = {"  records over the channel", "M keys/s", 1e-6, 0},
	[KS_GUEST_KEYS] = {"  one after the other", "M keys/s", 1e-6, 1},
	[KS_GUEST_KEYS_2] = {"  two threads, two cores", "M keys/s", 1e-6, 1},
	[KS_GUEST_TEXTS] = {"ksuid, keys that are texts", "M keys/s", 1e-6, 0},
};

static void print(int i, double value)
{
	double shown = value * figures[i].scale, bound = figures[i].bound;
	bool rate = strchr(figures[i].unit, '/') != NULL;

	if (value < 0) {
		printf("%-30s %9s\n", figures[i].title, "-");
		return;
	}
	printf("%-30s %9.2f %-9s", figures[i].title, shown, figures[i].unit);
	if (bound > 0)
		printf("  %s %g%s", rate ? "at least" : "at most", bound, (rate ? shown < bound : shown > bound) ? "  !" : "");
	printf("\n");
}

int ks_bench_guest(struct ks_err *err)
{
	double value[KS_GUEST_FIGURES];
	struct ks_vm_options plain = {.cpus = 1};
	char why[200];
	int failed = ks_guest_bench(value, &ks_signal, err);

	printf("guests under %s, at most %d at one time\n", ks_qemu_accel(), ks_guest_seats());
	if (!ks_vm_templates_work(&plain, why, sizeof(why)))
		printf("%s\n", why);
	for (int i = 0; i < KS_GUEST_FIGURES; i++)
		print(i, value[i]);
	return failed;
}
