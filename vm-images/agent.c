/* The first process of a guest: makes the machine usable, opens its port to the harness and hosts the subject there.
 *
 * Everything that goes wrong is told on the console, which the harness quotes, and ends in a power-off. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "agent_act.h"
#include "agent_disk.h"
#include "agent_jumps.h"
#include "agent_keep.h"
#include "agent_run.h"
#include "agent_time.h"
#include "ks_subject.h"

/* The name that the harness gives the port (harness/world/qemu_vm.c). */
#define PORT "keyskew"
/* Memory for records: most of what the guest has (ks_vm_start gives it 384 MB; the host pays for what is used). */
#define RECORD_BYTES ((size_t)256 << 20)
#define STATE "/tmp" /* what generators persist */
#define PORT_TRIES 500   /* of 10 ms */
#define SETTLE_TRIES 500 /* of 10 ms */

static void end(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void give_up(const char *what)
{
	printf("keyskew-agent: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	end();
}

static void nap_ms(long ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	nanosleep(&ts, NULL);
}

static void mount_all(void)
{
	if (mount("dev", "/dev", "devtmpfs", 0, NULL) != 0 || mount("proc", "/proc", "proc", 0, NULL) != 0 ||
	    mount("sys", "/sys", "sysfs", 0, NULL) != 0)
		give_up("mount");
	int fd = open("/dev/console", O_RDWR);
	if (fd >= 0)
		for (int i = 0; i < 3; i++)
			dup2(fd, i);
}

/* The names sort in the order of loading. One that is there already is fine. Folders have what is loaded on demand. */
const char *ks_agent_load_modules(const char *folder)
{
	static char path[512];
	struct dirent **names;
	int n = scandir(folder, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		if (!strchr(names[i]->d_name, '.') || names[i]->d_name[0] == '.')
			continue;
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		bool good = fd >= 0 && (syscall(SYS_finit_module, fd, "", 0) == 0 || errno == EEXIST);
		if (fd >= 0)
			close(fd);
		if (!good)
			return path;
	}
	return NULL;
}

static void load_modules(void)
{
	const char *missing = ks_agent_load_modules("/modules");

	if (missing)
		give_up(missing);
}

static int read_line(const char *path, char *line, int size)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return -1;
	int got = fgets(line, size, f) ? 0 : -1;
	fclose(f);
	line[got ? 0 : strcspn(line, "\n")] = '\0';
	return got;
}

/* @return the device of the port, or -1 when there is none yet. */
static int find_port(void)
{
	DIR *d = opendir("/sys/class/virtio-ports");
	int fd = -1;

	for (struct dirent *e; d && fd < 0 && (e = readdir(d));) {
		char path[512], name[64];
		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", e->d_name);
		if (e->d_name[0] == '.' || read_line(path, name, sizeof(name)) != 0 || strcmp(name, PORT) != 0)
			continue;
		snprintf(path, sizeof(path), "/dev/%s", e->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (d)
		closedir(d);
	return fd;
}

/* Until the host's side is announced a read gives end of file. */
static int open_port(void)
{
	for (int i = 0; i < PORT_TRIES; i++, nap_ms(10)) {
		int fd = find_port();
		for (; fd >= 0 && i < PORT_TRIES; i++, nap_ms(10)) {
			struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
			if (poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP))
				return fd;
		}
	}
	errno = ENODEV;
	give_up("port " PORT);
	return -1;
}

/* The clock source in use. In its first second a kernel runs on a rough guess of the TSC's rate and then changes over
 * to a better one: that would bend all clocks in the middle of a run. */
static void settled_source(char *source, int size)
{
	for (int i = 0; i < SETTLE_TRIES; i++, nap_ms(10)) {
		if (read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", source, size) != 0)
			snprintf(source, (size_t)size, "unknown");
		if (strcmp(source, "tsc-early") != 0)
			return;
	}
}

static void describe(char *text, size_t size)
{
	struct utsname u;
	char source[64];

	settled_source(source, sizeof(source));
	ks_agent_time_init(source);
	uname(&u);
	snprintf(text, size, "linux %.64s %.32s", u.release, source);
}

static int tell_last(int (*send)(void *host, uint32_t type, const void *payload, uint32_t length), void *host)
{
	int status = ks_agent_tell_disk(STATE, send, host);
	return status ? status : ks_agent_tell_jumps(send, host);
}

int main(void)
{
	char system[120];
	struct ks_subject_hooks hooks = {.system = system, .state_dir = STATE, .record_bytes = RECORD_BYTES,
	                                 .act = ks_agent_act, .stir = ks_agent_stir, .take = ks_agent_take,
	                                 .spec_of = ks_agent_spec, .work = ks_agent_listen, .last = tell_last, .tells = true};

	mount_all();
	load_modules();
	int port = open_port();
	describe(system, sizeof(system));
	if (ks_subject_main(port, port, &hooks) != 0)
		printf("keyskew-agent: the exchange ended in an error\n");
	end();
	return 0;
}
