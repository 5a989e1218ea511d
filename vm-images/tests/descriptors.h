/* For tests of what a run leaves behind. */
#ifndef KS_TEST_DESCRIPTORS_H
#define KS_TEST_DESCRIPTORS_H

#include <dirent.h>

/* How many this process has open, and three: the folder's own entries, and the one that reads it. To be compared. */
static inline int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

#endif
