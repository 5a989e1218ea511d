#ifndef KS_SUBJECT_TIME_H
#define KS_SUBJECT_TIME_H

/* Prints ns a key: the median of a few tries. A generator that waits for its clock is timed with its waits. @return exit code. */
int ks_subject_time(const char *generator);

#endif
