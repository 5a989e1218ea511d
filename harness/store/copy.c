#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "ks_store.h"

#define DEPTH_MAX 16

static int copy_file(const char *from, const char *to, struct ks_err *err)
{
	char buf[1 << 16];
	struct ks_file file;
	size_t n;
	FILE *f = fopen(from, "re");
	if (!f)
		return ks_fail(err, KS_E_USAGE, "cannot read '%.900s': %s", from, strerror(errno));
	int failed = ks_file_open(&file, to, err);
	while (!failed && (n = fread(buf, 1, sizeof buf, f)) > 0)
		if (fwrite(buf, 1, n, file.f) != n)
			break; /* commit tells why */
	bool bad = ferror(f);
	fclose(f);
	if (failed)
		return -1;
	if (bad) {
		ks_file_abort(&file);
		return ks_fail(err, KS_E_USAGE, "cannot read '%.900s'", from);
	}
	return ks_file_commit(&file, err);
}

static int copy(const char *from, const char *to, int depth, struct ks_err *err);

static int copy_entry(const char *from, const char *to, const char *name, int depth, struct ks_err *err)
{
	char a[PATH_MAX], b[PATH_MAX];
	struct stat st;
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return 0;
	if ((size_t)snprintf(a, sizeof a, "%s/%s", from, name) >= sizeof a || (size_t)snprintf(b, sizeof b, "%s/%s", to, name) >= sizeof b)
		return ks_fail(err, KS_E_USAGE, "path '%.200s/%.200s' is too long", from, name);
	if (lstat(a, &st))
		return ks_fail(err, KS_E_USAGE, "cannot read '%.900s': %s", a, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return copy(a, b, depth + 1, err);
	return S_ISREG(st.st_mode) ? copy_file(a, b, err) : 0;
}

static int copy(const char *from, const char *to, int depth, struct ks_err *err)
{
	DIR *d = depth < DEPTH_MAX ? opendir(from) : (errno = ELOOP, NULL);
	const struct dirent *e;
	int failed = 0;
	if (!d)
		return ks_fail(err, KS_E_USAGE, "cannot read '%.900s': %s", from, strerror(errno));
	if (mkdir(to, 0777) && errno != EEXIST)
		failed = ks_fail(err, KS_E_USAGE, "cannot make folder '%.900s': %s", to, strerror(errno));
	while (!failed && (e = readdir(d)))
		failed = copy_entry(from, to, e->d_name, depth, err);
	closedir(d);
	return failed;
}

int ks_copy_tree(const char *from, const char *to, struct ks_err *err)
{
	return copy(from, to, 0, err);
}
