/* The calls of libgearman that are not a run of tasks: echo, do at each priority, execute, background
 * at each priority, status by handle and by key, epoch.
 *
 *	calls HOST:PORT PREFIX
 */
#include <libgearman/gearman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *server, *prefix;

static gearman_client_st *connection(void)
{
	gearman_client_st *client = gearman_client_create(NULL);
	if (client == NULL || gearman_client_add_servers(client, server) != GEARMAN_SUCCESS)
		exit(2);
	return client;
}

static const char *function(const char *name)
{
	static char full[200];
	snprintf(full, sizeof full, "%s.%s", prefix, name);
	return full;
}

typedef void *(do_fn)(gearman_client_st *, const char *, const char *, const void *, size_t, size_t *, gearman_return_t *);

static void do_one(const char *name, do_fn *call, const char *job)
{
	gearman_client_st *client = connection();
	size_t size = 0;
	gearman_return_t rc;
	char *result = call(client, function(job), NULL, "hello", 5, &size, &rc);
	printf("%s %s: %.*s (%s)\n", name, job, (int)size, result == NULL ? "" : result, gearman_strerror(rc));
	free(result);
	gearman_client_free(client);
}

static void execute(const char *job, gearman_task_attr_t *attributes)
{
	gearman_client_st *client = connection();
	gearman_argument_t argument = gearman_argument_make(NULL, 0, "hello", 5);
	const char *name = function(job);
	gearman_task_st *task = gearman_execute(client, name, strlen(name), NULL, 0, attributes, &argument, NULL);
	if (task == NULL) {
		printf("execute %s: %s\n", job, gearman_client_error(client));
	} else if (attributes == NULL) {
		gearman_result_st *result = gearman_task_result(task);
		printf("execute %s: %.*s (%s)\n", job, result == NULL ? 0 : (int)gearman_result_size(result),
			result == NULL ? "" : gearman_result_value(result), gearman_strerror(gearman_task_return(task)));
	} else {
		printf("execute %s in the background: %s\n", job, gearman_strerror(gearman_task_return(task)));
	}
	gearman_client_free(client);
}

typedef gearman_return_t (background_fn)(gearman_client_st *, const char *, const char *, const void *, size_t, char *);

static void by_handle_and_key(const char *name, background_fn *call)
{
	gearman_client_st *client = connection();
	gearman_job_handle_t handle;
	gearman_return_t rc = call(client, function("nobody"), name, "hello", 5, handle);
	bool known, running;
	unsigned numerator, denominator;
	printf("%s: %s", name, gearman_strerror(rc));
	rc = gearman_client_job_status(client, handle, &known, &running, &numerator, &denominator);
	printf("; by handle: %s %d %d %u/%u", gearman_strerror(rc), known, running, numerator, denominator);
	gearman_client_free(client);

	client = connection();
	gearman_status_t status = gearman_client_unique_status(client, name, strlen(name));
	printf("; by key: %d %d %u/%u", gearman_status_is_known(status), gearman_status_is_running(status),
		gearman_status_numerator(status), gearman_status_denominator(status));
	status = gearman_client_unique_status(client, "unknown", 7);
	printf("; unknown: %d\n", gearman_status_is_known(status));
	gearman_client_free(client);
}

static void until_ended(void)
{
	gearman_client_st *client = connection();
	gearman_job_handle_t handle;
	gearman_client_do_background(client, function("echo"), NULL, "behind", 6, handle);
	bool known = true, running;
	unsigned numerator, denominator;
	while (known && gearman_success(gearman_client_job_status(client, handle, &known, &running, &numerator, &denominator)))
		;
	printf("background: %s\n", known ? "lost" : "ended");
	gearman_client_free(client);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	server = argv[1];
	prefix = argv[2];
	gearman_client_st *client = connection();
	printf("echo: %s\n", gearman_strerror(gearman_client_echo(client, "ping", 4)));
	gearman_client_free(client);

	do_one("do", gearman_client_do, "reverse");
	do_one("do_high", gearman_client_do_high, "reverse");
	do_one("do_low", gearman_client_do_low, "reverse");
	do_one("do", gearman_client_do, "empty");
	do_one("do", gearman_client_do, "fail");
	do_one("do", gearman_client_do, "steps");

	execute("reverse", NULL);
	execute("fail", NULL);
	gearman_task_attr_t high = gearman_task_attr_init_background(GEARMAN_JOB_PRIORITY_HIGH);
	execute("nobody", &high);
	gearman_task_attr_t later = gearman_task_attr_init_epoch(time(NULL) + 3600, GEARMAN_JOB_PRIORITY_NORMAL);
	execute("later", &later);
	gearman_task_attr_t past = gearman_task_attr_init_epoch(time(NULL) - 1, GEARMAN_JOB_PRIORITY_NORMAL);
	execute("echo", &past);

	by_handle_and_key("background", gearman_client_do_background);
	by_handle_and_key("high_background", gearman_client_do_high_background);
	by_handle_and_key("low_background", gearman_client_do_low_background);
	until_ended();
	return 0;
}
