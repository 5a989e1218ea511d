/* Nothing stays behind: what a run leaves when it ends, and what keyskew processes have left that were killed.
 *
 * Everything of a run carries the name of its folder, keyskew-PID-RANDOM: the folder in /dev/shm, the cgroup where there
 * is one, and the environment of every process that was started in it (FAKETIME_TIMESTAMP_FILE). Its owner holds a lock on
 * the file `owner` in the folder for as long as it lives, so a number that another process has got meanwhile, or that of
 * another container, misleads nobody. */
#ifndef KS_FT_SWEEP_H
#define KS_FT_SWEEP_H

#include <stdbool.h>

#define KS_FT_SHM "/dev/shm"
#define KS_FT_PREFIX "keyskew-"

/* Makes a folder in /dev/shm and takes its lock. @return the lock's descriptor, or -1 with errno. */
int ks_ft_folder(char dir[64]);

/* Kills every process of the folder that still runs, and waits (2 s at most) until they are gone. */
void ks_ft_kill_strays(const char *dir);

/* Removes the folder, what libfaketime keeps for the processes that are noted in it, and its cgroup. */
void ks_ft_remove(const char *dir);

/* Does both for every folder, stray process and cgroup whose owner no longer lives. */
void ks_ft_sweep(void);

/* Notes that a process was started in the folder. */
void ks_ft_note_process(const char *dir, long pid);

#endif
