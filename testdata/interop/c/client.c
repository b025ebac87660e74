/* A client on libgearman: all tasks in one run. It prints a line for each of them, with what its
 * callbacks got.
 *
 *	client HOST:PORT[,HOST:PORT...] FUNCTION PAYLOAD-FILE [FUNCTION PAYLOAD-FILE...]
 *
 * EXCEPTIONS=no: without asking for exceptions. KEY: the key of all tasks.
 */
#define _GNU_SOURCE
#include <libgearman/gearman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
	FILE *text;
	char *bytes;
	size_t size;
};

static void say(gearman_task_st *task, const char *event)
{
	struct line *line = gearman_task_context(task);
	if (ftell(line->text) > 0)
		fputs(", ", line->text);
	fputs(event, line->text);
}

static void say_data(gearman_task_st *task, const char *event)
{
	struct line *line = gearman_task_context(task);
	const unsigned char *data = gearman_task_data(task);
	size_t size = gearman_task_data_size(task);
	say(task, event);
	if (size > 1000) {
		fprintf(line->text, " %zu bytes", size);
		return;
	}
	if (size > 0)
		fputc(' ', line->text);
	for (size_t i = 0; i < size; i++)
		fprintf(line->text, data[i] >= ' ' && data[i] <= '~' ? "%c" : "\\x%02x", data[i]);
}

static gearman_return_t on_data(gearman_task_st *task)
{
	say_data(task, "data");
	return GEARMAN_SUCCESS;
}

static gearman_return_t on_warning(gearman_task_st *task)
{
	say_data(task, "warning");
	return GEARMAN_SUCCESS;
}

static gearman_return_t on_complete(gearman_task_st *task)
{
	say_data(task, "complete");
	return GEARMAN_SUCCESS;
}

static gearman_return_t on_exception(gearman_task_st *task)
{
	const void *word = memmem(gearman_task_data(task), gearman_task_data_size(task), "bang", 4);
	say(task, word == NULL ? "exception" : "exception bang");
	return GEARMAN_SUCCESS;
}

static gearman_return_t on_fail(gearman_task_st *task)
{
	say(task, "fail");
	return GEARMAN_SUCCESS;
}

static gearman_return_t on_status(gearman_task_st *task)
{
	char text[100];
	snprintf(text, sizeof text, "status %u/%u", gearman_task_numerator(task), gearman_task_denominator(task));
	say(task, text);
	return GEARMAN_SUCCESS;
}

static char *contents(const char *name, size_t *size)
{
	FILE *file = fopen(name, "rb");
	if (file == NULL) {
		perror(name);
		exit(2);
	}
	char *bytes = malloc(16 << 20);
	*size = fread(bytes, 1, 16 << 20, file);
	fclose(file);
	return bytes;
}

int main(int argc, char **argv)
{
	gearman_client_st *client = gearman_client_create(NULL);
	if (argc < 4 || client == NULL || gearman_client_add_servers(client, argv[1]) != GEARMAN_SUCCESS)
		return 2;
	const char *exceptions = getenv("EXCEPTIONS");
	if (exceptions == NULL || strcmp(exceptions, "no") != 0)
		gearman_client_set_server_option(client, "exceptions", strlen("exceptions"));
	gearman_client_set_data_fn(client, on_data);
	gearman_client_set_warning_fn(client, on_warning);
	gearman_client_set_status_fn(client, on_status);
	gearman_client_set_complete_fn(client, on_complete);
	gearman_client_set_exception_fn(client, on_exception);
	gearman_client_set_fail_fn(client, on_fail);

	int count = (argc - 2) / 2;
	struct line *lines = calloc(count, sizeof *lines);
	for (int i = 0; i < count; i++) {
		lines[i].text = open_memstream(&lines[i].bytes, &lines[i].size);
		size_t size;
		char *payload = contents(argv[3 + 2 * i], &size);
		gearman_return_t rc;
		gearman_client_add_task(client, NULL, &lines[i], argv[2 + 2 * i], getenv("KEY"), payload, size, &rc);
		if (gearman_failed(rc)) {
			fprintf(stderr, "%s\n", gearman_client_error(client));
			return 1;
		}
	}
	if (gearman_failed(gearman_client_run_tasks(client)))
		fprintf(stderr, "%s\n", gearman_client_error(client));
	for (int i = 0; i < count; i++) {
		fclose(lines[i].text);
		printf("%s: %s\n", argv[2 + 2 * i], lines[i].bytes);
	}
	return 0;
}
