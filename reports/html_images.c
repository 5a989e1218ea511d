/* The pictures of a page: as they are while they are few, packed when they are many. */
#include "html.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

/* Up to this many bytes all pictures stand in the page as they are. */
#define PLAIN_BYTES (1u << 20)
/* A pack is closed at this size: unpacking it takes a few ms, and what its pictures share is said once in each window of 32 KiB. */
#define PACK_BYTES (256u << 10)
/* Bytes of a pack for each byte of pictures: they become a ninth; this is what is set aside at least. */
#define PACK_RATIO 6
/* Between the pictures of a pack: a byte that no XML may hold. */
#define BETWEEN '\x1e'

void ks_html_images_init(struct ks_html_images *images, size_t total, size_t surprises)
{
	*images = (struct ks_html_images){.packed = total > PLAIN_BYTES, .left = KS_REPORT_PLOT_BYTES};
	size_t need = surprises / PACK_RATIO;
	images->set_aside = need < images->left ? need : images->left;
}

void ks_html_images_release(struct ks_html_images *images)
{
	for (size_t i = 0; i < images->n; i++)
		free(images->pack[i]);
	free(images->pack);
	ks_rp_release(&images->open);
	*images = (struct ks_html_images){0};
}

/* RFC 4648. @return a new text, or NULL when out of memory. */
static char *base64(const unsigned char *v, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((n + 2) / 3 * 4 + 1), *to = text;
	for (size_t i = 0; text && i < n; i += 3) {
		size_t have = n - i < 3 ? n - i : 3;
		unsigned bits = (unsigned)v[i] << 16 | (have > 1 ? (unsigned)v[i + 1] << 8 : 0) | (have > 2 ? v[i + 2] : 0u);
		for (unsigned k = 0; k < 4; k++)
			*to++ = k <= have ? digits[bits >> (18 - 6 * k) & 63] : '=';
	}
	if (text)
		*to = 0;
	return text;
}

static char *deflated(const char *bytes, size_t len)
{
	uLongf n = compressBound((uLong)len);
	Bytef *packed = malloc(n);
	char *text = NULL;
	if (packed && compress2(packed, &n, (const Bytef *)bytes, (uLong)len, 9) == Z_OK)
		text = base64(packed, n);
	free(packed);
	return text;
}

/* Closes the pack that is being filled. One that could not be made is empty: the script then shows the files. */
static void close_pack(struct ks_html_images *images)
{
	struct ks_err err;
	if (!images->open.f)
		return;
	char *text = ks_rp_finish(&images->open, &err) ? NULL : deflated(images->open.bytes, images->open.len);
	ks_rp_release(&images->open);
	images->in_pack = images->in_bytes = 0;
	char **grown = reallocarray(images->pack, images->n + 1, sizeof(*grown));
	if (!grown) {
		free(text);
		return;
	}
	images->pack = grown;
	images->pack[images->n++] = text;
	size_t len = text ? strlen(text) : 0;
	images->left -= len < images->left ? len : images->left;
}

/* @return whether there was room: then the picture is number in_pack of pack n. */
static bool add_to_pack(struct ks_html_images *images, const char *svg, size_t len, bool surprise)
{
	struct ks_err err;
	size_t need = (images->in_bytes + len) / PACK_RATIO, kept = surprise ? 0 : images->set_aside;
	size_t room = images->left > kept ? images->left - kept : 0;
	if (need > room || (!images->open.f && ks_rp_open(&images->open, &err)))
		return false;
	if (surprise)
		images->set_aside -= len / PACK_RATIO < images->set_aside ? len / PACK_RATIO : images->set_aside;
	if (images->in_pack++)
		fputc(BETWEEN, images->open.f);
	fwrite(svg, 1, len, images->open.f);
	images->in_bytes += len;
	return true;
}

/* An SVG as the address of an image: there it can neither run scripts nor clash with the page's names. */
static void put_data_uri(FILE *out, const char *svg, size_t len)
{
	fputs("data:image/svg+xml;charset=utf-8,", out);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)svg[i];
		if (c == '&')
			fputs("&amp;", out);
		else if (c == '\n')
			fputc(' ', out);
		else if (c < 0x20 || c == '%' || c == '#' || c == '"')
			fprintf(out, "%%%02X", c);
		else
			fputc(c, out);
	}
}

/* In a pack: what stands inside noscript is for those without, and what the script begins with. */
static void put_packed(struct ks_html_images *images, FILE *out, const char *relative, const char *alt)
{
	fprintf(out, "<figure tabindex=0 data-pack=\"%zu.%zu\"><noscript><img src=\"%s\" alt=\"%s\"></noscript></figure>\n", images->n,
	        images->in_pack - 1, relative, alt);
	if (images->in_bytes > PACK_BYTES)
		close_pack(images);
}

bool ks_html_image(struct ks_html_images *images, FILE *out, const char *path, const char *relative, const char *alt, bool surprise)
{
	struct stat st;
	size_t len = 0;
	if (stat(path, &st))
		return false;
	char *svg = ks_rp_read(path, KS_RP_SVG_MAX, &len);
	if (svg && images->packed && !memchr(svg, BETWEEN, len) && add_to_pack(images, svg, len, surprise)) {
		put_packed(images, out, relative, alt);
	} else if (svg && !images->packed) {
		fprintf(out, "<figure tabindex=0><img alt=\"%s\" src=\"", alt);
		put_data_uri(out, svg, len);
		fputs("\"></figure>\n", out);
	} else {
		fprintf(out, "<figure tabindex=0><img alt=\"%s\" loading=lazy src=\"%s\"></figure>\n", alt, relative);
	}
	free(svg);
	return true;
}

void ks_html_put_packs(struct ks_html_images *images, FILE *out)
{
	close_pack(images);
	for (size_t i = 0; i < images->n; i++)
		fprintf(out, "<script type=\"text/plain\" class=\"pack\">%s</script>\n", images->pack[i] ? images->pack[i] : "");
}
