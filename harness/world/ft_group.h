/* cgroups v2: a group a run, named like its folder, and in it one a process that is started. What is started there cannot
 * leave, whatever it forks, and can be frozen and killed as a whole. Where there is no cgroup v2 that we may write to,
 * signals to the process's session have to do. KEYSKEW_CGROUP=off says so. */
#ifndef KS_FT_GROUP_H
#define KS_FT_GROUP_H

#include <stdbool.h>
#include <stddef.h>

/* dir: the folder of the run. */

/* Makes the group of a process. procs: the file that takes its number. @return false where there are none. */
bool ks_ft_group_add(const char *dir, unsigned slot, char *procs, size_t size);
/* Moves a process that is there already into it, before it makes others. */
void ks_ft_group_join(const char *procs, long pid);
/* Freezes all that is in it, or lets it run on, and waits until it is so. @return 0, or -1 with errno. */
int ks_ft_group_freeze(const char *dir, unsigned slot, bool freeze);
/* Kills all that is in the run's groups, and waits (2 s at most) until they are empty. */
void ks_ft_group_kill(const char *dir);
/* Removes the run's groups; they must be empty. */
void ks_ft_group_remove(const char *dir);

#endif
