#include "carry.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ks_mem.h"
#include "ks_time.h"
#include "proc.h"
#include "truetime.h"

#define ANSWER_BYTES 65536
#define ANSWER_NS (10 * KS_SEC)
#define DEPTH_MAX 4 /* of interpreters of interpreters */
#define LOADER_CACHE "/etc/ld.so.cache"

__attribute__((format(printf, 2, 3))) static int refuse(struct ks_carry *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	return -1;
}

/* ---- files ---- */

static bool has(const struct ks_carry *c, const char *path)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->file[i].path, path))
			return true;
	return false;
}

static char *copy(const char *text)
{
	size_t n = strlen(text) + 1;
	char *p = ks_alloc(1, n);
	return p ? memcpy(p, text, n) : NULL;
}

static int add_one(struct ks_carry *c, const char *path, const char *link, const struct stat *st)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 256;
		struct ks_carry_file *more = ks_alloc(cap, sizeof(*more));
		if (!more)
			return refuse(c, "out of memory");
		if (c->n)
			memcpy(more, c->file, c->n * sizeof(*more));
		ks_free(c->file);
		c->file = more;
		c->cap = cap;
	}
	struct ks_carry_file *f = &c->file[c->n++];
	*f = (struct ks_carry_file){.path = copy(path), .link = link ? copy(link) : NULL, .mode = st->st_mode & 0777,
	                            .size = link ? 0 : st->st_size, .mtime_s = st->st_mtime};
	c->bytes += f->size;
	if (!f->path || (link && !f->link))
		return refuse(c, "out of memory");
	if (c->bytes > KS_CARRY_BYTES_MAX || c->n > KS_CARRY_FILES_MAX)
		return refuse(c, "'%.150s' and what it needs are more than %lld MB", c->program ? c->program : path,
		              (long long)(KS_CARRY_BYTES_MAX >> 20));
	return 0;
}

/* A file under its own name, and where the path is another name of it, a link. @return 1 when it was there already. */
static int add_file(struct ks_carry *c, const char *path, char real[PATH_MAX])
{
	struct stat st;

	if (!realpath(path, real) || stat(real, &st) != 0 || !S_ISREG(st.st_mode) || access(real, R_OK) != 0)
		return refuse(c, "cannot read '%.200s': %s", path, errno ? strerror(errno) : "no file");
	if (strcmp(path, real) && !has(c, path) && add_one(c, path, real, &st) != 0)
		return -1;
	return has(c, real) ? 1 : add_one(c, real, NULL, &st);
}

/* ---- questions ---- */

/* What a program prints. @return its length, or -1. */
static ssize_t ask(char *const argv[], char answer[ANSWER_BYTES])
{
	struct ks_proc p = KS_PROC_NONE;
	struct ks_err ignored;
	size_t len = 0;
	int64_t until = ks_true_ns() + ANSWER_NS;
	bool open = true;

	if (ks_proc_start(&p, argv, environ, false, &ignored) != 0)
		return -1;
	while (open && ks_true_ns() < until) {
		struct pollfd fds[2] = {{.fd = p.out, .events = POLLIN}, {.fd = p.err, .events = POLLIN}};
		poll(fds, 2, 100);
		if (fds[1].revents)
			ks_proc_read_err(&p);
		ssize_t n = fds[0].revents ? read(p.out, answer + len, ANSWER_BYTES - 1 - len) : 1;
		open = n > 0 || (n < 0 && errno == EAGAIN);
		len += fds[0].revents && n > 0 ? (size_t)n : 0;
	}
	while (!ks_proc_poll(&p) && ks_true_ns() < until)
		poll(NULL, 0, 1);
	bool good = p.ended && p.status == 0;
	ks_proc_end(&p, 1, sizeof(p), 0);
	answer[len] = '\0';
	return good ? (ssize_t)len : -1;
}

/* ---- programs ---- */

struct head {
	char bytes[4096]; /* of the file; the rest is zero */
	size_t n;
};

static int read_head(struct ks_carry *c, const char *path, struct head *h)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, h->bytes, sizeof(h->bytes) - 1) : -1;

	if (fd >= 0)
		close(fd);
	h->n = n > 0 ? (size_t)n : 0;
	memset(h->bytes + h->n, 0, sizeof(h->bytes) - h->n);
	return n < 0 ? refuse(c, "cannot read '%.200s'", path) : 0;
}

/* The dynamic loader that an ELF file names. @return its path, "" for a static program, NULL for a file that is none for here. */
static const char *loader_of(const struct head *h, char text[256])
{
	Elf64_Ehdr e;

	memcpy(&e, h->bytes, sizeof(e));
	if (h->n < sizeof(e) || e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_machine != EM_X86_64)
		return NULL;
	text[0] = '\0';
	for (unsigned i = 0; i < e.e_phnum && e.e_phoff + (i + 1) * sizeof(Elf64_Phdr) <= h->n; i++) {
		Elf64_Phdr p;
		memcpy(&p, h->bytes + e.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type == PT_INTERP && p.p_offset < h->n)
			snprintf(text, 256, "%s", h->bytes + p.p_offset);
	}
	return text;
}

/* One line of the loader's list: "\tNAME => FILE (0x...)", or "\tFILE (0x...)", or without a file (the vDSO). */
static int add_library(struct ks_carry *c, const char *program, char *line)
{
	char *arrow = strstr(line, " => "), *file = arrow ? arrow + 4 : line + strspn(line, "\t "), real[PATH_MAX];

	if (arrow && !strncmp(file, "not found", 9)) {
		*arrow = '\0';
		return refuse(c, "'%.120s' needs the library '%.100s', which is not here", program, line + strspn(line, "\t "));
	}
	char *end = strstr(file, " (");
	if (*file != '/' || !end)
		return 0;
	*end = '\0';
	return add_file(c, file, real) < 0 ? -1 : 0;
}

static int add_libraries(struct ks_carry *c, const char *program, const char *loader)
{
	char *answer = ks_alloc(1, ANSWER_BYTES), real[PATH_MAX], *rest = answer;
	char *const argv[] = {(char *)loader, (char *)"--list", (char *)program, NULL};
	int status = 0;

	if (!answer)
		return refuse(c, "out of memory");
	if (ask(argv, answer) < 0)
		status = refuse(c, "the loader '%.100s' does not say what '%.120s' needs", loader, program);
	if (status == 0 && (add_file(c, loader, real) < 0 || (access(LOADER_CACHE, R_OK) == 0 && add_file(c, LOADER_CACHE, real) < 0)))
		status = -1;
	for (char *line; status == 0 && (line = strsep(&rest, "\n"));)
		status = add_library(c, program, line);
	ks_free(answer);
	return status;
}

static int miss(struct ks_carry *c, const char *name, int error)
{
	c->missing = true;
	return refuse(c, "cannot run '%.200s': %s", name, strerror(error));
}

/* A program's path, as the shell would find it. */
static int find(struct ks_carry *c, const char *name, const char *folder, char path[PATH_MAX])
{
	if (strchr(name, '/')) {
		char whole[PATH_MAX];
		snprintf(whole, sizeof(whole), "%s%s%.2000s", *name == '/' ? "" : *folder ? folder : ".", *name == '/' ? "" : "/", name);
		if (access(whole, X_OK) != 0)
			return miss(c, name, errno);
		/* the folder's own path, not the file's: a program may look at the name it was called by */
		char *slash = strrchr(whole, '/'), real[PATH_MAX];
		*slash = '\0';
		if (!realpath(*whole ? whole : "/", real))
			return miss(c, name, errno);
		int n = snprintf(path, PATH_MAX, "%s/%s", strcmp(real, "/") ? real : "", slash + 1);
		return n < PATH_MAX ? 0 : refuse(c, "the path of '%.200s' is too long", name);
	}
	const char *dirs = getenv("PATH");
	for (const char *p = dirs ? dirs : "/usr/bin:/bin"; *p;) {
		int n = (int)strcspn(p, ":");
		if (n < 2000 && snprintf(path, PATH_MAX, "%.*s/%s", n, p, name) < PATH_MAX && *path == '/' && access(path, X_OK) == 0)
			return 0;
		p += n + (p[n] == ':');
	}
	return miss(c, name, ENOENT);
}

/* ---- interpreters ---- */

static const struct interpreter {
	const char *name;     /* what the program's name begins with */
	const char *question; /* a program in its language: prints its own path, then the folders that it reads, a line each */
	const char *skip;     /* folders in them that no program that issues keys needs; between blanks */
} interpreters[] = {
	{"python", "import sys,sysconfig;print(sys.executable);print(sysconfig.get_paths()['stdlib']);"
	           "print(sysconfig.get_paths()['platstdlib'])",
	 " site-packages dist-packages test tests idlelib tkinter ensurepip lib2to3 turtledemo pydoc_data distutils unittest "},
	{"perl", "print join(\"\\n\", $^X, grep { m{^/} && -d } @INC), \"\\n\"", " pod unicore "},
};

/* A Java runtime has hundreds of MB, and its own idea of where they are. */
static bool is_too_large(const char *path)
{
	const char *slash = strrchr(path, '/');
	return !strcmp(slash ? slash + 1 : path, "java");
}

static const struct interpreter *interpreter_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	for (size_t i = 0; i < sizeof(interpreters) / sizeof(interpreters[0]); i++)
		if (!strncmp(name, interpreters[i].name, strlen(interpreters[i].name)))
			return &interpreters[i];
	return NULL;
}

static bool skips(const struct interpreter *in, const char *name)
{
	char word[300];

	snprintf(word, sizeof(word), " %.250s ", name);
	return strstr(in->skip, word) != NULL || !strncmp(name, "config-", 7);
}

static int add_shared(struct ks_carry *c, const char *path)
{
	struct head h;
	char text[256];

	if (read_head(c, path, &h) != 0)
		return -1;
	if (memcmp(h.bytes, ELFMAG, SELFMAG) || !loader_of(&h, text))
		return 0;
	return add_libraries(c, path, "/lib64/ld-linux-x86-64.so.2");
}

static int add_folder(struct ks_carry *c, const struct interpreter *in, char *folder)
{
	char *const paths[] = {folder, NULL}, real[PATH_MAX];
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
	int status = tree ? 0 : refuse(c, "cannot read '%.200s'", folder);

	for (FTSENT *e; status == 0 && (e = fts_read(tree));) {
		if (e->fts_info == FTS_D && e->fts_level > 0 && skips(in, e->fts_name))
			fts_set(tree, e, FTS_SKIP);
		if ((e->fts_info != FTS_F && e->fts_info != FTS_SL) || access(e->fts_accpath, R_OK) != 0)
			continue;
		struct stat st;
		if (stat(e->fts_accpath, &st) != 0 || !S_ISREG(st.st_mode))
			continue;
		int added = add_file(c, e->fts_path, real);
		size_t n = strlen(e->fts_name);
		status = added < 0 || (added == 0 && n > 3 && !strcmp(e->fts_name + n - 3, ".so") && add_shared(c, real) != 0) ? -1 : 0;
	}
	if (tree)
		fts_close(tree);
	return status;
}

static int add_program(struct ks_carry *c, const char *path, char *argument, int depth);

/* The interpreter itself says where it is: what PATH finds may be a script that chooses one. */
static int add_interpreter(struct ks_carry *c, const struct interpreter *in, const char *path, char own[PATH_MAX])
{
	char *answer = ks_alloc(1, ANSWER_BYTES), *rest = answer, *line;
	char *const argv[] = {(char *)path, (char *)(!strcmp(in->name, "perl") ? "-e" : "-c"), (char *)in->question, NULL};

	if (!answer)
		return refuse(c, "out of memory");
	int status = ask(argv, answer) < 0 ? refuse(c, "'%.200s' does not say where its files are", path) : 0;
	line = strsep(&rest, "\n");
	if (status == 0) {
		snprintf(own, PATH_MAX, "%s", *line ? line : path);
		status = add_program(c, own, NULL, DEPTH_MAX);
	}
	while (status == 0 && rest && (line = strsep(&rest, "\n")))
		if (*line == '/' && access(line, R_OK) == 0)
			status = add_folder(c, in, line);
	ks_free(answer);
	return status;
}

/* "#!/usr/bin/env python3" */
static int add_script(struct ks_carry *c, char *line, int depth)
{
	line[strcspn(line, "\n")] = '\0';
	line += strspn(line, " \t");
	char *argument = line + strcspn(line, " \t"), name[PATH_MAX];

	if (*argument)
		*argument++ = '\0';
	argument += strspn(argument, " \t");
	argument[strcspn(argument, " \t")] = '\0';
	if (depth >= DEPTH_MAX || *line != '/')
		return refuse(c, "the script's interpreter '%.100s' cannot be carried", line);
	snprintf(name, sizeof(name), "%s", line);
	return add_program(c, name, argument, depth + 1);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);
	return n >= k && !strcmp(text + n - k, end);
}

/* @param argument the word after it in a script's first line; NULL: none. */
static int add_program(struct ks_carry *c, const char *path, char *argument, int depth)
{
	struct head h;
	char text[256], real[PATH_MAX], found[PATH_MAX];
	const struct interpreter *in = depth < DEPTH_MAX ? interpreter_of(path) : NULL;

	if (in)
		return add_interpreter(c, in, path, found) != 0 || add_file(c, path, real) < 0 ? -1 : 0;
	int added = add_file(c, path, real);
	if (added != 0)
		return added < 0 ? -1 : 0;
	if (read_head(c, real, &h) != 0)
		return -1;
	if (!memcmp(h.bytes, "#!", 2))
		return add_script(c, h.bytes + 2, depth);
	const char *loader = memcmp(h.bytes, ELFMAG, SELFMAG) ? NULL : loader_of(&h, text);
	if (!loader)
		return refuse(c, "'%.200s' is no program for x86-64", path);
	if (*loader && add_libraries(c, real, loader) != 0)
		return -1;
	if (ends_with(path, "/env") && argument && *argument) /* what it looks for on PATH */
		return find(c, argument, "", found) != 0 ? -1 : add_program(c, found, NULL, depth + 1);
	return 0;
}

int ks_carry_add(struct ks_carry *c, const char *path)
{
	char real[PATH_MAX];
	int added = add_file(c, path, real);

	return added < 0 ? -1 : added ? 0 : add_shared(c, real);
}

/* ---- the command ---- */

/* A file that the command names, and files of its kind beside it, which it may include. */
static int add_argument(struct ks_carry *c, const char *path)
{
	char real[PATH_MAX];
	const char *slash = strrchr(path, '/'), *dot = strrchr(slash, '.');
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	if (add_file(c, path, real) < 0)
		return -1;
	if (!dot)
		return 0;
	char folder[PATH_MAX];
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	char *const paths[] = {folder, NULL};
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
	int status = 0;
	for (FTSENT *e; tree && status == 0 && (e = fts_read(tree));) {
		if (e->fts_info == FTS_D && e->fts_level > 0)
			fts_set(tree, e, FTS_SKIP);
		else if (e->fts_info == FTS_F && ends_with(e->fts_name, dot) && e->fts_statp->st_size < 1 << 20 && access(e->fts_path, R_OK) == 0)
			status = add_file(c, e->fts_path, real) < 0 ? -1 : 0;
	}
	if (tree)
		fts_close(tree);
	return status;
}

static int add_arguments(struct ks_carry *c, const char *folder, char *const *words)
{
	char here[PATH_MAX], path[2 * PATH_MAX];

	if (!realpath(*folder ? folder : ".", here))
		return refuse(c, "cannot read the folder '%.200s'", folder);
	for (char *const *word = words + 1; *word; word++) {
		snprintf(path, sizeof(path), "%s%s%.4000s", **word == '/' ? "" : here, **word == '/' ? "" : "/", *word);
		if (add_argument(c, path) != 0)
			return -1;
	}
	return 0;
}

static bool is_dynamic(const char *program)
{
	struct ks_carry ignored;
	struct head h;
	char text[256];

	const char *loader = read_head(&ignored, program, &h) == 0 ? loader_of(&h, text) : NULL;
	return loader && *loader;
}

int ks_carry_program(struct ks_carry *c, const char *folder, char *const *words)
{
	char path[PATH_MAX], own[PATH_MAX];

	*c = (struct ks_carry){0};
	if (find(c, words[0], folder, path) != 0)
		return -1;
	if (is_too_large(path))
		return refuse(c, "a Java runtime is too large for it");
	const struct interpreter *in = interpreter_of(path);
	if (in ? add_interpreter(c, in, path, own) != 0 : add_program(c, path, NULL, 0) != 0)
		return -1;
	c->program = copy(in ? own : path);
	if (!c->program)
		return refuse(c, "out of memory");
	c->dynamic = is_dynamic(c->program);
	return add_arguments(c, folder, words);
}

void ks_carry_release(struct ks_carry *c)
{
	for (size_t i = 0; i < c->n; i++) {
		ks_free(c->file[i].path);
		ks_free(c->file[i].link);
	}
	ks_free(c->file);
	ks_free(c->program);
	*c = (struct ks_carry){0};
}
