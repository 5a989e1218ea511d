#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ks_store.h"

static int open_temp(struct ks_file *file, struct ks_err *err)
{
	snprintf(file->temp, sizeof file->temp, "%s.XXXXXX", file->path);
	int fd = mkstemp(file->temp);
	if (fd < 0) {
		file->temp[0] = 0;
		return ks_fail(err, KS_E_USAGE, "cannot create '%s': %s", file->path, strerror(errno));
	}
	mode_t mask = umask(0);
	umask(mask);
	file->f = fchmod(fd, 0666 & ~mask) ? NULL : fdopen(fd, "w");
	if (file->f)
		return 0;
	ks_fail(err, KS_E_INTERNAL, "cannot write '%s': %s", file->path, strerror(errno));
	close(fd);
	ks_file_abort(file);
	return -1;
}

int ks_file_open(struct ks_file *file, const char *path, struct ks_err *err)
{
	struct stat st;
	*file = (struct ks_file){0};
	if (strlen(path) >= sizeof file->path)
		return ks_fail(err, KS_E_USAGE, "path of %zu characters, expected fewer than %zu", strlen(path),
			       sizeof file->path);
	strcpy(file->path, path);
	if (stat(path, &st) || S_ISREG(st.st_mode))
		return open_temp(file, err);
	/* A terminal, a pipe, /dev/stdout: written as it is, and never replaced by a file. */
	file->f = S_ISDIR(st.st_mode) ? (errno = EISDIR, NULL) : fopen(path, "w");
	if (!file->f)
		return ks_fail(err, KS_E_USAGE, "cannot create '%s': %s", path, strerror(errno));
	return 0;
}

int ks_file_commit(struct ks_file *file, struct ks_err *err)
{
	errno = 0;
	int failed = fflush(file->f) || ferror(file->f); /* an error of long ago has left its mark, but no reason */
	int why = errno ? errno : EIO;
	if (fclose(file->f) && !failed) {
		failed = 1;
		why = errno;
	}
	file->f = NULL;
	if (!failed && file->temp[0] && rename(file->temp, file->path)) {
		failed = 1;
		why = errno;
	}
	if (!failed)
		file->temp[0] = 0;
	else
		ks_fail(err, KS_E_INTERNAL, "cannot write '%s': %s", file->path, strerror(why));
	ks_file_abort(file);
	return failed ? -1 : 0;
}

void ks_file_abort(struct ks_file *file)
{
	if (file->f)
		fclose(file->f);
	if (file->temp[0])
		unlink(file->temp);
	file->f = NULL;
	file->temp[0] = 0;
}
