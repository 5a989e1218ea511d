/* keyskew-subject: hosts a built-in generator in a process of its own. Started by `keyskew run`, which speaks to it
 * over file descriptors 0 and 1; not meant to be called by people.
 *
 *   keyskew-subject STATE_DIR AREA    STATE_DIR: where generators persist what must outlive the process
 *                                     AREA: a file of ks_area.h, in which it notes what it does
 *   keyskew-subject STATE_DIR AREA WHAT FOLDER TIMEOUT_NS PROGRAM...
 *                                     asks a program for keys: WHAT it is called in messages, the FOLDER that it runs in
 *   keyskew-subject --time GENERATOR  prints what a key costs on this machine, ns */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "keygen.h"
#include "ks_subject.h"
#include "plugin_load.h"
#include "subject_time.h"

/* libfaketime keeps two objects a process and forgets them when the process does not return from main. */
static char leftover[2][64];

static void forget_faketime(void) /* also in one that goes on from another, and so has none */
{
	static const char *const name[2] = {"sem.faketime_sem", "faketime_shm"};

	for (int i = 0; i < 2; i++)
		snprintf(leftover[i], sizeof(leftover[i]), "/dev/shm/%s_%ld", name[i], (long)getpid());
}

/* The generator's threads may be anywhere, so nothing is torn down but what would outlive the process. */
static void end(int status)
{
	unlink(leftover[0]);
	unlink(leftover[1]);
	_exit(status);
}

static void on_term(int signal)
{
	end(128 + signal);
}

/* Calls should begin when they are due and not when a compiler beside lets go of the CPU. Only root may ask for that;
 * without it calls are later on a busy machine, and the records say so. */
static void ask_for_cpu(void)
{
	int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		ssize_t n = write(fd, "-10", 3);
		(void)n;
		close(fd);
	}
	setpriority(PRIO_PROCESS, 0, -10);
}

/* ---- a program that is asked ---- */

static struct asked {
	struct ks_ask_fleet fleet; /* first */
	struct ks_ask program;
	char **argv;
} asked;

/* libfaketime's leftovers are found by the file that names the process, whoever is killed. */
static void note(const char *dir, long pid)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/pid-%ld", dir, pid);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
}

/* Who asks and who answers take turns: on one core the next turn begins at once, while another one would first have to wake up. So
 * both stay on one, a different one for each area. What starts later in this process stays there too. */
static void share_core(const char *area, pid_t program)
{
	const char *number = strrchr(area, '-');
	cpu_set_t may, one;

	if (!number || sched_getaffinity(0, sizeof(may), &may) != 0 || CPU_COUNT(&may) == 0)
		return;
	int left = (int)(strtoul(number + 1, NULL, 10) % (unsigned long)CPU_COUNT(&may)), cpu = 0;
	while (!CPU_ISSET(cpu, &may) || left-- > 0)
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(program, sizeof(one), &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static struct ks_ask *start_program(struct ks_ask_fleet *fleet, uint32_t process, uint64_t node_id, struct ks_err *err)
{
	struct asked *a = (struct asked *)fleet;

	(void)process, (void)node_id; /* the harness has replaced the placeholders */
	if (ks_ask_start(&a->program, a->argv[4], a->argv + 6, NULL, err) != 0)
		return NULL;
	note(a->argv[1], a->program.proc.pid);
	share_core(a->argv[2], a->program.proc.pid);
	return &a->program;
}

static int parse(const char *text, struct ks_gen_spec *spec, struct ks_err *err)
{
	return ks_names_plugin(text) ? ks_plugin_parse_real(text, spec, err) : ks_gen_parse(ks_gens_real, text, spec, err);
}

static struct ks_ask_fleet *prepare(char **argv)
{
	asked.fleet.start = start_program;
	asked.argv = argv;
	asked.program.proc = (struct ks_proc)KS_PROC_NONE;
	asked.program.timeout_ns = strtoll(argv[5], NULL, 10);
	snprintf(asked.program.what, sizeof(asked.program.what), "%s", argv[3]);
	return &asked.fleet;
}

int main(int argc, char **argv)
{
	struct stat st;

	if (argc == 3 && !strcmp(argv[1], "--time"))
		return ks_subject_time(argv[2]);
	if ((argc != 3 && argc < 7) || stat(argv[1], &st) != 0 || !S_ISDIR(st.st_mode) || isatty(STDIN_FILENO)) {
		fprintf(stderr, "usage: keyskew-subject STATE_DIR AREA [WHAT FOLDER TIMEOUT_NS PROGRAM...], with the wire of keyskew on 0 and 1\n");
		return 2;
	}
	int area = open(argv[2], O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (area < 0) {
		fprintf(stderr, "keyskew-subject: cannot open '%s': %m\n", argv[2]);
		return 2;
	}
	forget_faketime();
	ask_for_cpu();
	signal(SIGTERM, on_term);
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* end of file says so too, unless this thread is stuck */
	struct ks_gen_spec spec = {.gen = &ks_gen_ask_real};
	struct ks_subject_hooks hooks = {.state_dir = argv[1],
					 .registry = true,
					 .forked = argc == 3 ? forget_faketime : NULL,
					 .area_fd = area,
					 .spec = argc > 3 ? &spec : NULL,
					 .parse = parse,
					 .read_width_ns = KS_READ_WIDTH_PROCESS_NS};
	if (argc > 3) {
		struct ks_ask_cfg cfg = {prepare(argv)};
		memcpy(spec.cfg, &cfg, sizeof(cfg));
	}
	end(ks_subject_main(STDIN_FILENO, STDOUT_FILENO, &hooks));
}
