/* The examples of harness/subject/examples as texts, embedded by the build. */
#ifndef KS_EXAMPLES_H
#define KS_EXAMPLES_H

extern const char ks_example_c[], ks_example_go[], ks_example_java[], ks_example_js[], ks_example_py[], ks_example_rs[];

#endif
