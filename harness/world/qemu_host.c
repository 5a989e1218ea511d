/* What this machine has for guests: QEMU, an image, KVM that works. */
#include "ks_qemu.h"
#include "proc.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_MAX_ 1024

/* The folder of all that is kept for guests, and a file in it. */
static int kept_path(const char *file, char *path, size_t size)
{
	const char *cache = getenv("KEYSKEW_GUEST"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n = -1;

	if (cache && *cache)
		n = snprintf(path, size, "%s/%s", cache, file);
	else if (xdg && *xdg)
		n = snprintf(path, size, "%s/keyskew/guest/%s", xdg, file);
	else if (home && *home)
		n = snprintf(path, size, "%s/.cache/keyskew/guest/%s", home, file);
	return n > 0 && (size_t)n < size ? 0 : -1;
}

static int image_path(const char *image, const char *file, char *path, size_t size)
{
	char whole[PATH_MAX_];
	int n = snprintf(whole, sizeof(whole), "%s/%s", image, file);

	return n > 0 && (size_t)n < sizeof(whole) ? kept_path(whole, path, size) : -1;
}

int ks_guest_path(const char *file, char *path, size_t size)
{
	return image_path("current", file, path, size);
}

static const char *kernel_of(const char *image, char *text, size_t size)
{
	static const char package[] = "linux-image-";
	char path[PATH_MAX_], line[256] = "";
	FILE *f = image_path(image, "about", path, sizeof(path)) == 0 ? fopen(path, "re") : NULL;
	bool known = f && fgets(line, sizeof(line), f) && !strncmp(line, package, sizeof(package) - 1);

	if (f)
		fclose(f);
	const char *version = line + sizeof(package) - 1;
	snprintf(text, size, "%.*s", known ? (int)strcspn(version, "- \n") : 0, version);
	return text;
}

const char *ks_guest_kernel(char *text, size_t size)
{
	return kernel_of("current", text, size);
}

/* Is it "6.1", or "6.1.192"? Not "6.12". */
static bool is_version(const char *kernel, const char *wanted)
{
	size_t n = strlen(wanted);
	return !strncmp(kernel, wanted, n) && !(kernel[n] >= '0' && kernel[n] <= '9');
}

int ks_guest_path_of(const char *version, const char *file, char *path, size_t size)
{
	char kernel[64], image[64];

	if (!version || is_version(ks_guest_kernel(kernel, sizeof(kernel)), version))
		return ks_guest_path(file, path, size);
	snprintf(image, sizeof(image), "current-%.50s", version);
	if (strchr(version, '/') || !is_version(kernel_of(image, kernel, sizeof(kernel)), version))
		return -1;
	return image_path(image, file, path, size);
}

bool ks_guest_has_vmgenid(const char *version)
{
	char path[PATH_MAX_], line[256];
	FILE *f = ks_guest_path_of(version, "about", path, sizeof(path)) == 0 ? fopen(path, "re") : NULL;
	bool has = false;

	while (f && !has && fgets(line, sizeof(line), f))
		has = !strcmp(line, "vmgenid\n");
	if (f)
		fclose(f);
	return has;
}

int ks_qemu_path(char *path, size_t size)
{
	const char *p = getenv("PATH");

	while (p && *p) {
		size_t len = strcspn(p, ":");
		int n = snprintf(path, size, "%.*s/qemu-system-x86_64", (int)len, p);
		if (len && n > 0 && (size_t)n < size && access(path, X_OK) == 0)
			return 0;
		p += len + (p[len] == ':');
	}
	return -1;
}

int ks_guest_available(char *why, size_t size)
{
	static const char *const files[] = {"vmlinux", "initramfs"};
	char path[PATH_MAX_];

	if (ks_qemu_path(path, sizeof(path)) != 0) {
		snprintf(why, size, "no qemu-system-x86_64 on PATH: apt-get install qemu-system-x86");
		return -1;
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (ks_guest_path(files[i], path, sizeof(path)) != 0) {
			snprintf(why, size, "neither KEYSKEW_GUEST nor HOME says where the guest image is");
			return -1;
		}
		if (access(path, R_OK) != 0) {
			snprintf(why, size, "no guest image '%.400s': ./lab builds it", path);
			return -1;
		}
	}
	return 0;
}

/* A kernel under KVM has something to say within this time, a hundred times over. */
#define KVM_SPEAKS_MS 3000

/* Does a kernel get as far as its console? A device that opens proves nothing: where KVM is nested in a machine that does not carry
 * it, guests hang at their first instruction. */
static bool kvm_boots(void)
{
	char qemu[PATH_MAX_], kernel[PATH_MAX_], byte;
	struct ks_proc p = KS_PROC_NONE;
	struct ks_err ignored;

	if (ks_qemu_path(qemu, sizeof(qemu)) != 0)
		return false;
	ks_guest_path("vmlinux", kernel, sizeof(kernel));
	const char *const argv[] = {qemu, "-nodefaults", "-no-user-config", "-display", "none", "-M", "q35", "-accel", "kvm", "-cpu", "host",
	                            "-m", "384", "-kernel", kernel, "-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1", "-serial", "stdio", "-no-reboot", NULL};
	if (ks_proc_start(&p, (char *const *)argv, environ, false, &ignored) != 0)
		return false;
	struct pollfd out = {.fd = p.out, .events = POLLIN};
	bool spoke = poll(&out, 1, KVM_SPEAKS_MS) == 1 && read(p.out, &byte, 1) == 1;
	ks_proc_end(&p, 1, sizeof(p), 0);
	return spoke;
}

/* That KVM boots nothing took KVM_SPEAKS_MS to find out: it is believed for an hour of the same boot of this machine. */
#define HANGS_FILE "kvm-hangs"
#define BELIEVED_S 3600

static void read_boot_id(char id[64])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, id, 63) : 0;

	id[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

static bool known_to_hang(const char *path, const char *boot_id)
{
	char seen[64] = "";
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	ssize_t n = read(fd, seen, sizeof(seen) - 1);
	bool fresh = fstat(fd, &st) == 0 && st.st_mtime <= time(NULL) && time(NULL) - st.st_mtime < BELIEVED_S;
	close(fd);
	seen[n > 0 ? n : 0] = '\0';
	return fresh && *seen && !strcmp(seen, boot_id);
}

static void remember_to_hang(const char *path, const char *boot_id)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return; /* then the next call tries again */
	if (write(fd, boot_id, strlen(boot_id)) < 0)
		unlink(path);
	close(fd);
}

static bool try_kvm(void)
{
	char path[PATH_MAX_] = "", boot_id[64];

	read_boot_id(boot_id);
	if (kept_path(HANGS_FILE, path, sizeof(path)) == 0 && known_to_hang(path, boot_id))
		return false;
	bool boots = kvm_boots();
	if (!boots && *path)
		remember_to_hang(path, boot_id);
	return boots;
}

static bool kvm_works;

static void find_kvm(void)
{
	const char *given = getenv("KEYSKEW_ACCEL");
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	kvm_works = fd >= 0 && (given && *given ? !strcmp(given, "kvm") : try_kvm());
}

const char *ks_qemu_accel(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_kvm);
	return kvm_works ? "kvm" : "tcg";
}
