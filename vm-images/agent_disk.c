#include "agent_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ks_wire.h"

/* harness/subject/env_real.c; the registry, whose words lie beside, is not part of the machine at all. */
static const char *const words[] = {"persist-", "registry-", "leased-", "reported-"};
#define UNFINISHED ".new"
#define FILE_BYTES 64

/* One that is being written is none yet. */
static int is_word(const struct dirent *e)
{
	size_t len = strlen(e->d_name), end = strlen(UNFINISHED);
	int is = 0;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		is |= !strncmp(e->d_name, words[i], strlen(words[i]));
	return is && (len < end || strcmp(e->d_name + len - end, UNFINISHED) != 0);
}

static uint32_t pack(const char *folder, const char *name, char payload[])
{
	struct ks_wire_file f = {.kind = KS_FILE_NEW, .mode = 0600};
	char *path = payload + sizeof(f);
	int len = snprintf(path, 4096, "%s/%s", folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, path + len + 1, FILE_BYTES) : -1;

	if (fd >= 0)
		close(fd);
	memcpy(payload, &f, sizeof(f));
	return n < 0 ? 0 : (uint32_t)(sizeof(f) + (size_t)len + 1 + (size_t)n);
}

int ks_agent_tell_disk(const char *folder, int (*send)(void *host, uint32_t type, const void *payload, uint32_t length), void *host)
{
	char payload[sizeof(struct ks_wire_file) + 4096 + FILE_BYTES];
	struct dirent **names;
	int n = scandir(folder, &names, is_word, alphasort), status = 0;

	for (int i = 0; i < n; i++) {
		uint32_t length = status ? 0 : pack(folder, names[i]->d_name, payload);
		status = length ? send(host, KS_WIRE_FILE, payload, length) : status;
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return status;
}
