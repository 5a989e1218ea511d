/* Processes that a program left behind: those that left its process group (setsid, daemons) are found by a mark in the
 * environment that they inherited. */
#ifndef KS_STRAYS_H
#define KS_STRAYS_H

#define KS_STRAY_MARK "KEYSKEW_FLEET="

/* A mark that nobody else has: "KEYSKEW_FLEET=PID-NUMBER". */
void ks_stray_mark(char mark[64]);
/* The caller's environment and the mark. @return an array to be freed with ks_free, or NULL out of memory. */
char **ks_stray_environment(char *mark);
/* Kills every process that has the mark, again until there is none. */
void ks_stray_kill(const char *mark);

#endif
