/* A worker on libgearman: what every worker of these tests can do.
 *
 *	worker HOST:PORT[,HOST:PORT...] PREFIX
 */
#include <libgearman/gearman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gearman_return_t echo(gearman_job_st *job, void *context)
{
	(void)context;
	gearman_job_send_complete(job, gearman_job_workload(job), gearman_job_workload_size(job));
	return GEARMAN_SUCCESS;
}

static gearman_return_t reverse(gearman_job_st *job, void *context)
{
	(void)context;
	size_t size = gearman_job_workload_size(job);
	const char *payload = gearman_job_workload(job);
	char *reversed = malloc(size + 1);
	for (size_t i = 0; i < size; i++)
		reversed[i] = payload[size - 1 - i];
	gearman_job_send_complete(job, reversed, size);
	free(reversed);
	return GEARMAN_SUCCESS;
}

static gearman_return_t empty(gearman_job_st *job, void *context)
{
	(void)context;
	return gearman_job_send_complete(job, NULL, 0);
}

static gearman_return_t fail(gearman_job_st *job, void *context)
{
	(void)job;
	(void)context;
	return GEARMAN_FATAL;
}

static gearman_return_t boom(gearman_job_st *job, void *context)
{
	(void)context;
	return gearman_job_send_exception(job, "bang", 4);
}

static gearman_return_t steps(gearman_job_st *job, void *context)
{
	(void)context;
	gearman_job_send_status(job, 1, 2);
	gearman_job_send_data(job, "one", 3);
	gearman_job_send_warning(job, "careful", 7);
	gearman_job_send_status(job, 2, 2);
	return gearman_job_send_complete(job, "done", 4);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		gearman_function_fn *work;
	} functions[] = {
		{"echo", echo}, {"reverse", reverse}, {"empty", empty}, {"fail", fail}, {"boom", boom}, {"steps", steps},
	};
	gearman_worker_st *worker = gearman_worker_create(NULL);
	if (argc != 3 || worker == NULL || gearman_worker_add_servers(worker, argv[1]) != GEARMAN_SUCCESS)
		return 2;
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		char name[200];
		int length = snprintf(name, sizeof name, "%s.%s", argv[2], functions[i].name);
		gearman_function_t function = gearman_function_create(functions[i].work);
		if (gearman_worker_define_function(worker, name, length, function, 0, NULL) != GEARMAN_SUCCESS)
			return 2;
	}
	for (;;)
		gearman_worker_work(worker);
}
