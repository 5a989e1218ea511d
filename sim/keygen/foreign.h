/* Foreign generators: what is known of a program in any language that issues keys. Pure: nothing here starts a program.
 *
 * From the command line (`ask:COMMAND`, `exec:COMMAND`) only the command is known; a generator file tells the rest. */
#ifndef KS_FOREIGN_H
#define KS_FOREIGN_H

#include <stddef.h>

#include "keygen.h"

enum ks_speaks {
	KS_SPEAKS_LINES, /* free running: a key a line, at its own pace */
	KS_SPEAKS_ASK,   /* a key when it is asked for one (harness/subject/ask.h) */
};

/* How keys sort, and which are equal. */
enum ks_collation {
	KS_BY_FORM,    /* as numbers if all of a run are decimal without leading zeros, else byte by byte */
	KS_BY_NUMBER,  /* decimal numbers of any length; leading zeros do not count */
	KS_BY_BYTES,   /* byte by byte */
	KS_BY_TEXT,    /* as a column that ignores case: ASCII letters are equal in both cases */
	KS_BY_LAYOUT,  /* as the number that the layout's fields make */
};

enum ks_layout_form {
	KS_FORM_DECIMAL, /* one number */
	KS_FORM_HEX,     /* one number, dashes between its digits ignored */
	KS_FORM_DASHED,  /* a decimal number for each field, dashes between them */
};

#define KS_LAYOUT_FIELDS 6 /* as many as struct ks_fields holds */
#define KS_LAYOUT_NAME 24

/* Keys that are one number of fields side by side, the first at the top. */
struct ks_layout {
	struct {
		char name[KS_LAYOUT_NAME];
		uint32_t bits;
	} field[KS_LAYOUT_FIELDS];
	int n;      /* 0: no layout */
	int time;   /* index of the field that is time, -1: none */
	enum ks_layout_form form;
	int64_t unit_ns, epoch_unix_ns; /* of the time: it counts units since the epoch */
};

#define KS_FOREIGN_WORDS 64

struct ks_foreign {
	char title[256];  /* "" : none */
	char folder[512]; /* the program runs there: the folder of its file; "": where keyskew runs */
	enum ks_speaks speaks;
	enum ks_collation collation;
	struct ks_layout layout;
	char text[256];                      /* a command that is to be split into words, or "": the words are */
	char *word[KS_FOREIGN_WORDS + 1];    /* owned; end with NULL; placeholders not yet replaced */
	char *build[KS_FOREIGN_WORDS + 1];   /* owned; what makes the program, run once before it; may be empty */
	char claim[KS_CLAIMS_MAX][64];
	int claims;
	char *needs[KS_FOREIGN_WORDS + 1];   /* owned; programs, or patterns of files, that must be there */
	char install[256];                   /* the line that installs them */
	char *makes[2];                      /* owned; what the build makes: when it is there, nothing is built; may be none */
	unsigned keeps_state; /* 1: see `state` of a generator file */
	int64_t timeout_ns; /* an answer takes at most this; 0: the default */
};

/* With a command as the command line says it, after `ask:` or `exec:`; "": its words will be filled in. */
struct ks_foreign *ks_foreign_new(enum ks_speaks speaks, const char *command);
void ks_foreign_free(struct ks_foreign *foreign);

/* What a key says of itself: by the layout, else by a public form (keytime.h). Field names live in *foreign.
 * @return false: nothing. */
bool ks_foreign_decode(const struct ks_foreign *foreign, const char *text, size_t len, struct ks_fields *fields);

/* The form of a key that is compared, for a collation other than KS_BY_FORM: at most len bytes, or KS_NORMAL_MIN if that is
 * more. @return its length, or -1: it has none (no number). */
#define KS_NORMAL_MIN 32
int ks_foreign_normal(const struct ks_foreign *foreign, const char *text, size_t len, char *buf);

#endif
